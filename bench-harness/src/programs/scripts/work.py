# Reads an access log and JSON records, builds indexes of objects, and prints figures of them.
import collections
import json
import re
import sys

LINE = re.compile(r'(\S+) \S+ (\S+) \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d+) (\d+) "([^"]*)"')


class Visit:
    def __init__(self, fields):
        self.address, self.user, self.time, self.method, self.path = fields[:5]
        self.status, self.size, self.agent = int(fields[5]), int(fields[6]), fields[7]
        self.parts = [part for part in re.split(r'[/?&=]', self.path) if part]


def read(path):
    visits = []
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            found = LINE.match(line)
            if found:
                visits.append(Visit(found.groups()))
    return visits


def index(visits):
    by_user, by_part = collections.defaultdict(list), collections.Counter()
    for visit in visits:
        by_user[visit.user].append(visit)
        by_part.update(visit.parts)
    return by_user, by_part


def summaries(by_user):
    for user, visits in by_user.items():
        visits.sort(key=lambda visit: (visit.time, visit.path))
        yield {
            'user': user,
            'bytes': sum(visit.size for visit in visits),
            'paths': sorted({visit.path for visit in visits}),
            'agents': sorted({visit.agent for visit in visits}),
            'errors': [[visit.time, visit.status] for visit in visits if visit.status >= 400],
        }


def main():
    visits = read(sys.argv[1])
    by_user, by_part = index(visits)
    text = json.dumps(list(summaries(by_user)), sort_keys=True, indent=1)
    again = json.loads(text)
    print(len(visits), len(by_user), len(text), sum(one['bytes'] for one in again))
    with open(sys.argv[2], encoding='utf-8') as lines:
        records = [json.loads(line) for line in lines]
    tags = collections.Counter(tag for record in records for tag in record['tags'])
    texts = ['; '.join(f'{key}={record[key]}' for key in sorted(record)) for record in records]
    joined = '\n'.join(sorted(texts))
    words = collections.Counter(re.findall(r'[a-z]+', joined))
    print(by_part.most_common(5), sorted(tags.items())[:5], len(joined))
    print(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:8])


main()
