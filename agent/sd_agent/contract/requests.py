"""The bodies of the request routes, each turned into a Task, and the receipts they are answered with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sd_agent.contract import content as contents
from sd_agent.contract import images, names
from sd_agent.contract.errors import InvalidRequest
from sd_agent.contract.jsonvalue import expect_object
from sd_agent.contract.task import Task, TaskType, check_context, check_dialect, check_tasktype, check_ttl

__all__ = [
    "V1_FIELDS",
    "metadata_task",
    "v1_task",
    "v1alpha1_receipt",
    "v1alpha1_task",
    "v1alpha2_receipt",
    "v1alpha2_task",
]

V1_FIELDS = (
    "id",
    "tasktype",
    "content",
    "sd_model_checkpoint",
    "runtime",
    "prefix",
    "context",
    "uid",
    "dialect",
    "ttl",
)
"""What the body of a task may hold on our own routes; `tasktype` and `content` are needed."""

_V1ALPHA1_TASKS = frozenset({TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE, TaskType.EXTRA_SINGLE_IMAGE})
# What v1alpha1 puts among the always-on scripts without being one.
_HEADER = ("task", "sd_model_checkpoint", "id_task", "uid", "save_dir", "image_link", "sd_vae", "override_settings")


def v1alpha1_task(
    body: Mapping[str, Any], *, tenant: str = names.DEFAULT_TENANT, reserved: Collection[str] = ()
) -> Task:
    """The task in a v1alpha1 body: an SD WebUI body whose `alwayson_scripts` carries the task's own fields.

    Raises InvalidRequest naming the field. `reserved`: names of tenants, which a prefix must not begin with.
    """
    header = expect_object(body.get("alwayson_scripts"), "alwayson_scripts")
    tasktype = check_tasktype(header.get("task"), "alwayson_scripts.task", _V1ALPHA1_TASKS)
    task_id = names.check_id(header.get("id_task"), "alwayson_scripts.id_task")
    model = names.check_model(header.get("sd_model_checkpoint"), "alwayson_scripts.sd_model_checkpoint")
    uid = _optional_text(header.get("uid"), "alwayson_scripts.uid")
    prefix = names.check_prefix(
        header.get("save_dir") or names.DEFAULT_PREFIX, "alwayson_scripts.save_dir", reserved=reserved
    )
    content, _ignored = _webui_content(body, tasktype, model, "")
    return Task(
        id=task_id,
        tasktype=tasktype,
        content=content,
        prefix=prefix,
        tenant=tenant,
        model=model,
        uid=uid,
        context=None if uid is None else {"uid": uid},
    )


def v1alpha2_task(
    body: Mapping[str, Any], *, tenant: str = names.DEFAULT_TENANT, reserved: Collection[str] = ()
) -> Task:
    """The task in a v1alpha2 body: `{"task": {"metadata": {…}, "content": {…}}}`. Raises InvalidRequest."""
    return metadata_task(expect_object(body.get("task"), "task"), "task.", tenant=tenant, reserved=reserved)


def metadata_task(
    body: Mapping[str, Any], path: str, *, tenant: str = names.DEFAULT_TENANT, reserved: Collection[str] = ()
) -> Task:
    """The task in `{"metadata": {…}, "content": {…}}`, which v1alpha2 and our own messages share."""
    metadata = expect_object(body.get("metadata"), f"{path}metadata")
    return _task(metadata, body.get("content"), f"{path}metadata.", path, tenant=tenant, reserved=reserved)


def v1_task(
    body: Mapping[str, Any], *, path: str = "", tenant: str = names.DEFAULT_TENANT, reserved: Collection[str] = ()
) -> Task:
    """The task in a body of our own routes, which has V1_FIELDS and nothing else; `path` goes before their names."""
    unknown = sorted(set(body) - set(V1_FIELDS))
    if unknown:
        raise InvalidRequest.at(path + unknown[0], f"{path}{unknown[0]} is not one of {', '.join(V1_FIELDS)}")
    return _task(body, body.get("content"), path, path, tenant=tenant, reserved=reserved)


def _task(
    metadata: Mapping[str, Any],
    content: Any,
    at: str,
    path: str,
    *,
    tenant: str,
    reserved: Collection[str],
) -> Task:
    """`at` goes before the names of metadata's fields, `path` before `content`."""
    task_id = names.check_id(metadata.get("id"), f"{at}id")
    tasktype = check_tasktype(metadata.get("tasktype"), f"{at}tasktype")
    prefix, runtime, model = metadata.get("prefix"), metadata.get("runtime"), metadata.get("sd_model_checkpoint")
    content = expect_object(content, f"{path}content")
    if model is not None:
        model = names.check_model(model, f"{at}sd_model_checkpoint")
    if tasktype is TaskType.PIPELINE:
        contents.check_content(tasktype, content, f"{path}content")
    else:
        content, model = _webui_content(content, tasktype, model, f"{path}content.")
    return Task(
        id=task_id,
        tasktype=tasktype,
        content=content,
        prefix=names.DEFAULT_PREFIX if prefix is None else names.check_prefix(prefix, f"{at}prefix", reserved),
        tenant=tenant,
        runtime=None if runtime is None else names.check_runtime(runtime, f"{at}runtime"),
        model=model,
        context=check_context(metadata.get("context"), f"{at}context"),
        uid=_optional_text(metadata.get("uid"), f"{at}uid"),
        dialect=check_dialect(metadata.get("dialect"), f"{at}dialect"),
        ttl=check_ttl(metadata.get("ttl"), f"{at}ttl"),
    )


def v1alpha1_receipt(task: Task, output_location: str) -> dict[str, Any]:
    """What POST /v1alpha1 answers with."""
    return {
        "id_task": task.id,
        "task": task.tasktype.value,
        "sd_model_checkpoint": task.model,
        "output_location": output_location,
    }


def v1alpha2_receipt(task: Task, output_location: str, runtime: str) -> dict[str, Any]:
    """What POST /v1alpha2 answers with."""
    return {"id": task.id, "runtime": runtime, "output_location": output_location}


def _webui_content(
    body: Mapping[str, Any], tasktype: TaskType, model: str | None, path: str
) -> tuple[dict[str, Any], str | None]:
    """(a plain SD WebUI body, the model): the header's keys are taken out and put where they belong."""
    content = dict(body)
    scripts = content.pop("alwayson_scripts", None)
    scripts = {} if scripts is None else dict(expect_object(scripts, f"{path}alwayson_scripts"))
    header = {name: scripts.pop(name, None) for name in _HEADER}
    at = f"{path}alwayson_scripts."
    _place_links(content, tasktype, header["image_link"], at)
    _place_controlnet_links(scripts, at)
    if scripts:
        content["alwayson_scripts"] = scripts
    model = _one_model(model, header["sd_model_checkpoint"], f"{at}sd_model_checkpoint")
    settings = _override_settings(content, header, path)
    model = _one_model(model, settings.pop("sd_model_checkpoint", None), f"{path}override_settings.sd_model_checkpoint")
    content.pop("override_settings", None)
    if settings:
        content["override_settings"] = settings
    contents.check_content(tasktype, content, path.removesuffix("."))
    return content, model


def _place_links(content: dict[str, Any], tasktype: TaskType, value: Any, at: str) -> None:
    field = f"{at}image_link"
    text = _optional_text(value, field)
    if text is None:
        return
    links = images.split_links(text)
    target = {
        TaskType.IMAGE_TO_IMAGE: "init_images",
        TaskType.EXTRA_SINGLE_IMAGE: "image",
        TaskType.EXTRA_BATCH_IMAGES: "imageList",
    }.get(tasktype)
    if target is None:
        raise InvalidRequest.at(field, f"{tasktype.value} takes no {field}")
    if content.get(target):
        raise InvalidRequest.at(field, f"give either {field} or {target}, not both")
    if not links or not all(images.is_url(link) for link in links):
        raise InvalidRequest.at(field, f"{field} must be an http, https or s3 URL, or several separated by commas")
    if target == "image" and len(links) > 1:
        raise InvalidRequest.at(field, f"{tasktype.value} takes one URL in {field}, not {len(links)}")
    if target == "imageList":
        content[target] = [{"data": link, "name": f"input-{number}"} for number, link in enumerate(links, 1)]
    else:
        content[target] = links if target == "init_images" else links[0]


def _place_controlnet_links(scripts: dict[str, Any], at: str) -> None:
    name = next((name for name in scripts if name.lower() == "controlnet"), None)
    if name is None:
        return
    unit_list = expect_object(scripts[name], at + name).get("args")
    if not isinstance(unit_list, list):
        raise InvalidRequest.at(f"{at}{name}.args", f"{at}{name}.args must be a list")
    args = []
    for index, argument in enumerate(unit_list):
        if isinstance(argument, Mapping) and "image_link" in argument:
            field = f"{at}{name}.args.{index}.image_link"
            link = argument["image_link"]
            if not isinstance(link, str) or not images.is_url(link):
                raise InvalidRequest.at(field, f"{field} must be an http, https or s3 URL")
            argument = {key: value for key, value in argument.items() if key != "image_link"} | {"image": link}
        args.append(argument)
    scripts[name] = {**scripts[name], "args": args}


def _override_settings(content: Mapping[str, Any], header: Mapping[str, Any], path: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if content.get("override_settings") is not None:
        settings.update(expect_object(content["override_settings"], f"{path}override_settings"))
    vae = _optional_text(header["sd_vae"], f"{path}alwayson_scripts.sd_vae")
    if vae is not None:
        settings["sd_vae"] = vae
    if header["override_settings"] is not None:
        settings.update(expect_object(header["override_settings"], f"{path}alwayson_scripts.override_settings"))
    return settings


def _one_model(known: str | None, value: Any, field: str) -> str | None:
    """The one model a request names; naming two different ones is a mistake that the WebUI would not report."""
    if value is None or value == "":
        return known
    model = names.check_model(value, field)
    if known is not None and names.model_file(known) != names.model_file(model):
        raise InvalidRequest.at(field, f"{field} names another model than {known}")
    return known or model


def _optional_text(value: Any, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidRequest.at(field, f"{field} must be a string")
    if len(value) > 8192:
        raise InvalidRequest.at(field, f"{field} must be up to 8192 characters")
    return value
