"""Pagination: a bounded page, and a Link header (RFC 8288) to the next one."""

from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from ticketing_common.values.aggregate import Aggregate

A = TypeVar("A", bound=Aggregate)

Cursor = Annotated[
    str | None,
    Query(pattern="^[0-9a-f]{24}$", description="Where the previous page ended; from its Link header"),
]


def paginate(found: list[A], limit: int, request: Request, response: Response) -> list[A]:
    """The first `limit` of `limit + 1` rows; sets a Link to the next page if there is one more row."""
    page = found[:limit]
    if len(found) > limit:
        next_page = request.url.include_query_params(limit=limit, cursor=page[-1].id)
        response.headers["Link"] = f'<{next_page.path}?{next_page.query}>; rel="next"'
    return page
