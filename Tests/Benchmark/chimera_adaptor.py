"""Chimera for a benchmark harness whose adaptors are subclasses of `peers.Adaptor`.

The harness gives `ctx` (directories, ports) and a workload with a `role`; a class writes its configuration and
names the command. One worker, as for every peer.
"""
import os
import re
import subprocess

import peers

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("CHIMERA_BINARY") or os.path.join(REPOSITORY, ".build/release/chimera")


class Chimera(peers.Adaptor):
    name = "chimera"
    binary = BINARY
    roles = ("static", "proxy", "local", "ws", "wsstdio")
    log = "off"

    def path(self):
        return self.binary if os.access(self.binary, os.X_OK) else None

    def version(self):
        try:
            said = subprocess.run([self.binary, "version"], capture_output=True, text=True, timeout=15).stdout
        except (OSError, subprocess.TimeoutExpired):
            said = ""
        found = re.search(r"\d+\.\d+[\w.+-]*", said)
        return found.group(0) if found else "?"

    def write_config(self, wl):
        c = self.ctx
        verb = {
            "static": f"files {c.www}",
            "local": f"files {c.www}",
            "proxy": f"proxy 127.0.0.1:{c.origin}",
            "ws": f"proxy 127.0.0.1:{c.ws_origin}",
            # Where root runs this, it is root who serves, and that has to be said of programs too.
            "wsstdio": f"session {'user=root ' if os.getuid() == 0 else ''}-- cat",
        }[wl.role]
        # The idle time of the peers' configurations; the rest is what comes without a line.
        self.write("chimera.conf", f"""\
listen 127.0.0.1:{c.http}
listen 127.0.0.1:{c.https} tls
workers 1
log access {self.log.format(dir=c.dir)}
timeout idle=600s
site * {{
    tls {c.cert} {c.key} redirect=off
    /* {verb}
}}
""")

    def argv(self):
        # Where root runs this, the folders are closed to others.
        return [self.path(), "run", "--config", os.path.join(self.ctx.dir, "chimera.conf"),
                "--user", str(os.getuid())]


class ChimeraLog(Chimera):
    name = "chimera+log"
    log = "json {dir}/access.log"
    note = "the default access log, JSON, to a file"
