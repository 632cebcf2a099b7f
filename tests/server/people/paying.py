"""A room that does what people must agree to."""

from typing import Any

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.people import sca
from billfold_server.people.desk import Desk
from billfold_server.people.exemptions import Linked
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.people.persons import Person

__all__ = ["PAYMENT", "Payments"]

PAYMENT = Linked(kind="payment", object_id="trf_x", amount_minor=12_345_678, currency="EUR", payee="Café Zwölf, AT61 …")


class Payments:
    """What a room does that needs people to agree."""

    def __init__(self, live: LiveServer, person: Person) -> None:
        assert person.slug is not None
        self.live, self.person, self.slug = live, person, person.slug
        self.user_id = ids.decode(Prefix.USER, person.user_id)

    def run(self, work: Any) -> Any:
        """Do something in a transaction of the tenant, with a desk."""

        async def inside() -> Any:
            services = self.live.services
            tenant = await services.registry.get(self.slug)
            call = Call(
                services=services,
                caller=CALLER,
                request_id="req_x",
                method="POST",
                path="/v1/payments",
                headers={},
                base_url=self.live.base(self.slug),
                mount=f"/t/{self.slug}",
                tenant_or_none=tenant,
            )
            async with services.database.tx(tenant) as tx:
                return await work(Desk(call, "psu"), tx)

        return self.live.run(inside())

    def begin(self, action: Linked = PAYMENT, **more: Any) -> sca.Challenge:
        """Ask for agreement."""
        found = self.run(lambda desk, tx: sca.begin(desk, tx, self.user_id, action, **more))
        assert isinstance(found, sca.Challenge)
        return found

    def use(self, reference: str, action: Linked = PAYMENT) -> bool:
        """Carry out what was agreed to."""
        return bool(self.run(lambda desk, tx: sca.use(desk, tx, reference, self.user_id, action)))
