"""A pytest plugin: sandboxes that ask for no runtime get the docker one.

So tests that were written for native sandboxes say whether all is the same in
containers. The image is $AGENTFENSE_TEST_IMAGE.
"""

import os
from typing import Any

from agentfense import RuntimeType, _requests

_create = _requests.create_sandbox


def create_sandbox(*args: Any, **options: Any) -> Any:
    if options.get("runtime", RuntimeType.BWRAP) == RuntimeType.BWRAP:
        options["runtime"] = RuntimeType.DOCKER
        options["image"] = options.get("image") or os.environ["AGENTFENSE_TEST_IMAGE"]
    return _create(*args, **options)


_requests.create_sandbox = create_sandbox
