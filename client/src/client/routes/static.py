"""The style sheet, scripts, typefaces and icons."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.staticfiles import StaticFiles

from client.views import STATIC, VERSION

router = APIRouter()

_files = StaticFiles(directory=STATIC)


@router.get("/static/{version}/{path:path}")
async def static_file(version: str, path: str, request: Request) -> Response:
    """A page of another version, while the site is being replaced, gets what there is, but not to keep."""
    answer = await _files.get_response(path, request.scope)
    keep = "public, max-age=31536000, immutable" if version == VERSION else "no-cache"
    answer.headers["Cache-Control"] = keep
    return answer
