<?php
// Reads JSON records as a web application does, renders them into pages, and prints figures of those.
ini_set('memory_limit', '-1');
$records = [];
foreach (file($argv[1]) as $line) {
    $records[] = json_decode($line, true);
}
$tags = [];
foreach ($records as $record) {
    foreach ($record['tags'] as $tag) {
        $tags[$tag][] = $record['id'];
    }
}
ksort($tags);
$length = 0;
$pages = [];
foreach (array_chunk($records, 40) as $number => $chunk) {
    $rows = array_map(function ($record) {
        $cells = array_map(fn ($key, $value) => '<td class="' . $key . '">'
            . htmlspecialchars(is_scalar($value) ? (string)$value : json_encode($value)) . '</td>',
            array_keys($record), $record);
        return '<tr>' . implode('', $cells) . '</tr>';
    }, $chunk);
    $page = "<h1>$number</h1><table>" . implode("\n", $rows) . '</table>';
    $page = preg_replace_callback('/[a-z]{5,}/', fn ($found) => ucfirst($found[0]), $page);
    $pages[] = $page;
    $length += strlen($page);
}
usort($records, fn ($a, $b) => [$a['name'], $a['id']] <=> [$b['name'], $b['id']]);
$text = serialize($records);
echo count($records), ' ', count($tags), ' ', $length, ' ', strlen($text), ' ',
    md5(implode('', $pages)), ' ', count(unserialize($text)), "\n";
