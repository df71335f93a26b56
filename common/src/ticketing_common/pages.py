"""Pagination: a bounded page, and the Link header (RFC 8288) that leads to the next one."""

from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from ticketing_common.aggregate import Aggregate

A = TypeVar("A", bound=Aggregate)

Cursor = Annotated[
    str | None,
    Query(pattern="^[0-9a-f]{24}$", description="Where the page before ended; from its Link header"),
]


def cut_page(found: list[A], limit: int, request: Request, response: Response) -> list[A]:
    """The page out of one row more than it holds, with a Link to the next where there is that row."""
    page = found[:limit]
    if len(found) > limit:
        following = request.url.include_query_params(limit=limit, cursor=page[-1].id)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return page
