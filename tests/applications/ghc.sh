#!/bin/sh
set -eu
cat >W.hs <<'H'
import qualified Data.Map.Strict as M
import Control.Concurrent
import Control.Monad
import Data.List
import Foreign
main :: IO ()
main = do
  let l = take 60000 (iterate (\x -> (x * 1103515245 + 12345) `mod` 2147483648) 1) :: [Int]; m = M.fromListWith (++) [(x `mod` 997, [x]) | x <- l]
  print (M.size m, sum (map length (M.elems m)), take 5 (sort l)); print (length (show (product [1 .. 1500 :: Integer])))
  vs <- forM [1 .. 8] $ \n -> do { v <- newEmptyMVar; _ <- forkIO (putMVar v $! foldl' (+) 0 [length (show i) | i <- [1 .. n * 3000 :: Int]]); return v }; mapM takeMVar vs >>= print
  ps <- forM [1 .. 3000] $ \n -> do { p <- mallocBytes n :: IO (Ptr Word8); poke p (fromIntegral n); return p }; xs <- mapM peek ps; print (sum (map fromIntegral xs :: [Int])); mapM_ free ps
H
ghc -v0 -O1 -threaded -rtsopts W.hs
./W +RTS -N2
./W +RTS -A64k -c | md5sum
echo 'main = print (1 + "a")' >X.hs; ghc -v0 X.hs 2>&1 || true; ghc -e 'sum [1 .. 10000]'
