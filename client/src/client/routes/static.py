"""The style sheet, scripts, typefaces and icons."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.staticfiles import StaticFiles

from client.views import STATIC_FOLDER, STATIC_VERSION

router = APIRouter()

_files = StaticFiles(directory=STATIC_FOLDER)


@router.get("/static/{version}/{path:path}")
async def serve_file(version: str, path: str, request: Request) -> Response:
    """Serves the current file for every version; browsers cache only the current version.

    During a rollout, a page of one version can request files from a replica of another.
    """
    response = await _files.get_response(path, request.scope)
    caching = "public, max-age=31536000, immutable" if version == STATIC_VERSION else "no-cache"
    response.headers["Cache-Control"] = caching
    return response
