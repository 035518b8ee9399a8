"""A process that measures a few layers beside others like it; `measure_workers` starts it."""

from __future__ import annotations

import json
import time

from keras_mothernets.planning.workers import sample_seconds

if __name__ == "__main__":
    ready = time.time()
    print(json.dumps({"ready": ready, "seconds": sample_seconds()}))
