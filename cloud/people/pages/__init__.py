"""Pages of people: the office's lists and files, staff, and a family's own children.

Responsible for: composing the routes of this package. Each page asks identity/may.py, reads in the transaction of its
door, and draws itself again where a form is refused. Not responsible for: any rule of people (the services beside it).
"""

from fastapi import APIRouter

from cloud.people.pages import child_file, child_forms, family, lists, staff

router = APIRouter()
for part in (lists, child_file, child_forms, staff, family):
    router.include_router(part.router)
