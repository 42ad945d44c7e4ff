"""A gate that has started has loaded everything that its first family will need."""

import subprocess
import sys

LAZY = ("cryptography.hazmat.primitives.asymmetric.ec", "zxingcpp", "cv2")


def test_after_the_warm_up_the_first_family_loads_no_library() -> None:
    program = (
        "import sys; from edge.warmup import warm_up; warm_up(); before = set(sys.modules); warm_up();"
        "print(sorted(set(sys.modules) - before), all(name in before for name in sys.argv[1:]))"
    )
    told = subprocess.run([sys.executable, "-c", program, *LAZY], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["[]", "True"]
