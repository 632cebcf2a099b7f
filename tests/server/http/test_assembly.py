"""What our application leaves out of Litestar's own way to make one, and that nothing of it is missed."""

import subprocess
import sys
from typing import Any

from litestar.routes import HTTPRoute
from litestar.utils.signature import ParsedSignature

from billfold_server.app import build_app
from billfold_server.http.pipeline import internal_path
from billfold_server.rooms import operations
from tests.live import LiveServer


class TestAnApplication:
    def test_has_one_route_for_each_path(self, live: LiveServer) -> None:
        """No path comes twice, which is why nobody need look for one that is there already."""
        app: Any = build_app(live.settings)
        routes = [each for each in app.routes if isinstance(each, HTTPRoute)]
        assert [len(each.route_handlers) for each in routes] == [1] * len(routes)
        paths = {each.route_handlers[0].name for each in routes}
        assert len(routes) == len(app.routes) == len(paths)
        assert paths == {internal_path(each) for each in operations()}

    def test_has_handlers_that_are_as_litestar_reads_them(self, live: LiveServer) -> None:
        """The signature that all of them share is each one's."""
        app: Any = build_app(live.settings)
        for route in app.routes:
            (handler,) = route.route_handlers
            assert handler.parsed_fn_signature == ParsedSignature.from_fn(handler.fn, {})

    def test_loads_no_pydantic(self) -> None:
        """It is installed with Piccolo, and nothing of ours is made of it."""
        make = "from billfold_server.http.assembly import Assembled; Assembled([], openapi_config=None)"
        code = f"import sys; {make}; print('pydantic' in sys.modules)"
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
