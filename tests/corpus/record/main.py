"""Records one set of the corpus: `main.py early|late FOLDER [--jobs N] [PATTERN...]`, inside the corpus root."""

import argparse
import fnmatch
import json
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lab
import made  # noqa: F401  registers its recordings
import media
import ordinary  # noqa: F401
import ordinary_video  # noqa: F401
import tunnels  # noqa: F401
import tunnels_ipsec  # noqa: F401


def record(job, family, which, folder):
    name = f"{job.kind}/{job.name(family)}"
    target = folder / f"{name}.pcap"
    seed = f"{which}/{name}"
    if job.made:
        import random
        writer = lab.Pcap(target)
        packets = total = 0
        for packet in job.function(random.Random(seed), family, which):
            writer.add(packet)
            packets, total = packets + 1, total + len(packet)
        writer.close()
        said = ""
        line = lab.describe(job, family, which, packets, total, None)
    else:
        work = Path("/tmp") / name.replace("/", "-")
        with lab.Lab(job, family, which, seed, work, job.gro) as place:
            try:
                job.function(place)
            except RuntimeError as error:
                raise RuntimeError(f"{error}{place.said()}") from error
        if place.dropped:
            raise RuntimeError(f"the recorder lost {place.dropped} packets")
        packets, total = place.save(target)
        line = lab.describe(job, family, which, packets, total, place)
        said = place.said()
        subprocess.run(["rm", "-rf", str(work)], check=False)
    if packets < job.least:
        raise RuntimeError(f"{packets} packets, expected at least {job.least}{said}")
    line["version"] = lab.package_version(job.package)
    return line


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("set", choices=["early", "late"])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--jobs", type=int, default=3)
    arguments.add_argument("patterns", nargs="*", help="record only these, as in 'openvpn/*'")
    options = arguments.parse_intermixed_args()
    folder = options.folder / options.set
    wanted = [
        (job, family) for job in lab.JOBS for family in job.families
        if not options.patterns
        or any(fnmatch.fnmatch(f"{job.kind}/{job.name(family)}", p) for p in options.patterns)
    ]
    media.prepare(options.set)
    index = folder / "index.jsonl"
    known = {}
    if index.exists():
        known = {line["file"]: line for line in map(json.loads, index.read_text().splitlines())}
    failed = []

    def one(item):
        job, family = item
        name = f"{job.kind}/{job.name(family)}"
        try:
            line = record(job, family, options.set, folder)
        except Exception as error:  # noqa: BLE001  one failure must not end the rest
            (folder / f"{name}.pcap").unlink(missing_ok=True)
            failed.append(name)
            detail = traceback.format_exc() if not isinstance(error, RuntimeError) else str(error)
            print(f"FAILED  {name}: {detail}", flush=True)
            return
        known[name] = line
        print(f"{line['packets']:7}  {name}", flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, wanted))
    for name in failed:
        known.pop(name, None)
    folder.mkdir(parents=True, exist_ok=True)
    lab.write_index(index, known.values())
    packets = sum(line["packets"] for line in known.values())
    print(f"{options.set}: {packets} packets in {len(known)} files; {len(failed)} failed: {' '.join(failed)}")
    sys.exit(1 if failed else 0)


main()
