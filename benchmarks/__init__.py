"""Run as modules, too (`python -m benchmarks.frontier`): the benchmarks find one another by bare name either way."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
