#!/usr/bin/env python3
"""A chat that speaks JSON: one process for everybody. It reads who came, said something or left, a line each, and what it
writes everybody gets."""
import json
import sys

TEXT_MAX, NAME_MAX = 500, 20
names = {}


def tell(**message):
    print(json.dumps(message, ensure_ascii=False), flush=True)


def said(client, data):
    try:
        message = json.loads(data)
        name, text = str(message.get("name", "")).strip(), str(message.get("text", "")).strip()
    except (ValueError, AttributeError):
        return
    if name:
        names[client] = name[:NAME_MAX]
    if text:
        tell(type="said", name=names[client], text=text[:TEXT_MAX])


for line in sys.stdin:
    event = json.loads(line)
    client, kind = event["client"], event["type"]
    if kind == "open":
        names[client] = f"guest {client}"
        tell(type="joined", name=names[client], present=len(names))
    elif kind == "message":
        said(client, event.get("data", ""))
    elif kind == "close" and client in names:
        tell(type="left", name=names.pop(client), present=len(names))
