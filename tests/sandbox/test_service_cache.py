"""The service and its read cache, a real Redis: used, invalidated, expired, lost and found."""

from pathlib import Path

from sandbox.redis.server import RedisServer
from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.postgres import Postgres
from tests.sandbox.fixtures.service import serving, url_of


def test_reads_come_from_the_cache_and_a_write_makes_it_old(
    database: Postgres, cache: RedisServer, tmp_path: Path
) -> None:
    where = {"DATABASE_ENDPOINT": database.endpoint, "CACHE_URL": url_of(cache), "CACHE_TTL_SECONDS": "60"}
    with serving(tmp_path, **where) as one, serving(tmp_path, **where) as other:
        eventually(lambda: one.ready()["cache"] and other.ready()["cache"])
        assert one.post("first")[0] == 201
        assert one.labels() == ["first"]
        # Behind the service's back: only the cache can still give the old answer.
        with database.session() as session:
            session.run("UPDATE detections SET label = 'changed'")
        assert one.labels() == ["first"]
        assert other.labels() == ["first"]
        assert other.post("second")[0] == 201
        assert one.labels() == ["second", "changed"]
        items = cache.statistics().items
        assert items >= 2
        database.stop()
        assert one.labels() == ["second", "changed"]
        assert one.get("/detections?limit=7")[0] == 503


def test_a_page_in_the_cache_expires(database: Postgres, cache: RedisServer, tmp_path: Path) -> None:
    where = {"DATABASE_ENDPOINT": database.endpoint, "CACHE_URL": url_of(cache), "CACHE_TTL_SECONDS": "0.3"}
    with serving(tmp_path, **where) as service:
        eventually(lambda: service.ready()["cache"])
        service.post("first")
        assert service.labels() == ["first"]
        with database.session() as session:
            session.run("UPDATE detections SET label = 'changed'")
        eventually(lambda: service.labels() == ["changed"])


def test_the_service_does_without_redis_and_takes_it_up_again(
    database: Postgres, cache: RedisServer, tmp_path: Path
) -> None:
    where = {"DATABASE_ENDPOINT": database.endpoint, "CACHE_URL": url_of(cache), "CACHE_TTL_SECONDS": "60"}
    with serving(tmp_path, **where) as service:
        eventually(lambda: service.ready()["cache"])
        service.post("before")
        assert service.labels() == ["before"]
        cache.stop()
        assert service.post("during")[0] == 201
        assert service.labels() == ["during", "before"]
        status, readiness = service.get("/ready")
        assert (status, readiness["cache"]) == (200, False)
        cache.start({})
        eventually(lambda: service.ready()["cache"])
        assert service.labels() == ["during", "before"]
        eventually(lambda: cache.statistics().items > 0)
        assert "cache lost" in service.messages()
        assert "cache is back" in service.messages()
