// A service's work: buffers, JSON, compression and hashes, the parts of node that use malloc.
const fs = require('fs'), zlib = require('zlib'), crypto = require('crypto');
const lines = fs.readFileSync(process.argv[2], 'utf8').trim().split('\n');
const records = lines.map(line => JSON.parse(line));
const buffers = [];
let total = 0;
records.forEach((record, index) => {
    const body = Buffer.from(JSON.stringify({ index, ...record }).repeat(1 + index % 9));
    buffers.push(body);
    if (buffers.length > 500) buffers[index % 500] = Buffer.allocUnsafeSlow(body.length).fill(body);
    total += body.length;
});
const hash = crypto.createHash('sha256');
for (let at = 0; at < buffers.length; at += 50) {
    const packed = zlib.deflateRawSync(Buffer.concat(buffers.slice(at, at + 50)), { level: 1 });
    hash.update(zlib.inflateRawSync(packed));
}
const tags = new Map();
for (const record of records) for (const tag of record.tags) tags.set(tag, (tags.get(tag) || 0) + 1);
console.log(records.length, total, hash.digest('hex'), [...tags].sort().slice(0, 5).join());
