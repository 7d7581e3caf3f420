"""The servers under comparison: how each is configured and started for a workload.

Each is tuned as its own community would for that workload, with one worker (or as many as asked for), keep-alive
on both sides and no limits on it. `+log` has the access log on: to a file, as the server does it by default.
"""
import os
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MANY = 100_000_000
DESCRIPTORS_MAX = min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


@dataclass(frozen=True)
class Place:
    """Where a run happens: its folder, the files to serve, the ports of the server and of the origin, and a certificate
    for localhost."""
    folder: str
    www: str
    port: int
    origin: int
    certificate: str
    key: str


class System:
    name = ""
    roles = ("static", "proxy")
    package = ""

    def __init__(self, log=False, workers=1, sites=0, routes=0):
        self.log, self.workers, self.sites, self.routes = log, workers, sites, routes

    @property
    def label(self):
        details = []
        if self.sites:
            details.append(f"{self.sites} site{'s' * (self.sites != 1)}")
        if self.workers != 1:
            details.append(f"{self.workers} workers")
        return self.name + ("+log" if self.log else "") + (f" ({', '.join(details)})" if details else "")

    def binary(self):
        return shutil.which(self.package, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

    def version(self):
        said = subprocess.run([self.binary(), "-v"], capture_output=True, text=True, timeout=15)
        found = re.search(r"\d+\.\d+[\w.]*", said.stdout + said.stderr)
        return found.group(0) if found else "?"

    def prepare(self, place, workload):
        """Writes the configuration; returns the command line."""
        raise NotImplementedError

    def host(self):
        """The Host field of the load."""
        return "localhost"


class Chimera(System):
    name = "chimera"

    def binary(self):
        path = os.environ.get("CHIMERA_BINARY") or os.path.join(REPOSITORY, ".build/release/chimera")
        return path if os.access(path, os.X_OK) else None

    def version(self):
        said = subprocess.run([self.binary(), "version"], capture_output=True, text=True, timeout=15)
        found = re.search(r"\d+\.\d+[\w.+-]*", said.stdout)
        return found.group(0) if found else "?"

    def host(self):
        return f"t{self.sites // 2}.localhost" if self.sites else "localhost"

    def prepare(self, place, workload):
        verb = f"files {place.www}" if workload.role == "static" else f"proxy 127.0.0.1:{place.origin}"
        log = f"json {place.folder}/access.log" if self.log else "off"
        tls = f"tls {place.certificate} {place.key}" if workload.tls else ""
        text = (f"listen 127.0.0.1:{place.port}{' tls' if workload.tls else ''}\nworkers {self.workers}\nlog access {log}\n"
                "timeout idle=600s\n")
        if self.sites:
            self.write_tenants(os.path.join(place.folder, "conf.d"), verb)
            text += "import conf.d/*.conf\n"
        else:
            text += f"site * {{\n    {tls}\n    /* {verb}\n}}\n"
        path = write(place, "chimera.conf", text)
        # Where root runs this, the folders are closed to others.
        return [self.binary(), "run", "--config", path, "--user", str(os.getuid())]

    def write_tenants(self, folder, verb):
        """One file for each tenant; the route that is asked for stands last, behind `routes` others."""
        os.mkdir(folder)
        routes = "".join(f"    /route-{i}/{{name}} respond 200 route-{i}\n" for i in range(self.routes))
        for i in range(self.sites):
            with open(os.path.join(folder, f"t{i}.conf"), "w") as f:
                f.write(f"site t{i}.localhost {{\n{routes}    /* {verb}\n}}\n")


class Nginx(System):
    name = package = "nginx"

    def prepare(self, place, workload):
        pool = ""
        if workload.role == "static":
            # What nginx itself is fastest with: sendfile for large files only, and no corking.
            body = f"root {place.www}; sendfile {'on' if workload.length > 16384 else 'off'};"
        else:
            pool = (f"upstream origin {{ server 127.0.0.1:{place.origin}; keepalive 1024;"
                    f" keepalive_requests {MANY}; keepalive_timeout 600s; }}")
            body = ("proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection '';"
                    " proxy_buffer_size 8k; proxy_buffers 16 16k; proxy_busy_buffers_size 32k;"
                    " proxy_max_temp_file_size 0;")
        log = f"{place.folder}/access.log combined" if self.log else "off"
        options = ("reuseport " if self.workers > 1 else "") + ("ssl http2" if workload.tls else "")
        tls = (f"ssl_certificate {place.certificate}; ssl_certificate_key {place.key}; ssl_protocols TLSv1.2 TLSv1.3;"
               " ssl_session_cache shared:s:10m; ssl_session_timeout 1h; ssl_buffer_size 16k;"
               if workload.tls else "")
        path = write(place, "nginx.conf", f"""
daemon off; worker_processes {self.workers}; pid {place.folder}/nginx.pid; {user_line()}
error_log {place.folder}/error.log warn; worker_rlimit_nofile {DESCRIPTORS_MAX};
events {{ worker_connections {DESCRIPTORS_MAX}; }}
http {{
  default_type application/octet-stream; access_log {log}; server_tokens off;
  tcp_nopush off; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests {MANY};
  open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s; open_file_cache_min_uses 1;
  {scratch(place)}
  {pool}
  server {{ listen 127.0.0.1:{place.port} backlog=4096 {options};
    {tls}
    location / {{ {body} }} }}
}}
""")
        return [self.binary(), "-e", f"{place.folder}/error.log", "-c", path]


class Haproxy(System):
    name = package = "haproxy"
    roles = ("proxy",)

    def prepare(self, place, workload):
        log = "  log stdout format raw local0\n" if self.log else ""
        tls = f" ssl crt {both(place)} alpn h2,http/1.1" if workload.tls else ""
        path = write(place, "haproxy.cfg", f"""
global
  nbthread {self.workers}
  maxconn {(DESCRIPTORS_MAX - 500) // 3}
{log}defaults
  mode http
{"  log global" if self.log else ""}
{"  option httplog" if self.log else ""}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
  option splice-auto
frontend front
  bind 127.0.0.1:{place.port} backlog 4096{tls}
  default_backend back
backend back
  server origin 127.0.0.1:{place.origin} pool-purge-delay 600s
""")
        return [self.binary(), "-db", "-f", path]


SYSTEMS = {"chimera": Chimera, "nginx": Nginx, "haproxy": Haproxy}


def named(label, **options):
    """The system of a label such as `nginx+log`."""
    name, _, log = label.partition("+")
    if name not in SYSTEMS or log not in ("", "log"):
        raise ValueError(f"no system {label}; there are {', '.join(SYSTEMS)}, each also with +log")
    return SYSTEMS[name](log=bool(log), **options)


def origin(place):
    """The command of the origin behind every proxy: nginx, the 1 kB answer from memory, the larger ones from files."""
    with open(os.path.join(place.www, "1k.bin")) as f:
        body = f.read()
    path = write(place, "origin.conf", f"""
daemon off; worker_processes 1; pid {place.folder}/origin.pid; {user_line()}
error_log {place.folder}/origin.log warn; worker_rlimit_nofile {DESCRIPTORS_MAX};
events {{ worker_connections {DESCRIPTORS_MAX}; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; default_type application/octet-stream;
  keepalive_timeout 3600s; keepalive_requests {MANY};
  open_file_cache max=100 inactive=3600s; open_file_cache_valid 3600s;
  {scratch(place)}
  server {{
    listen 127.0.0.1:{place.origin} backlog=4096; root {place.www};
    location = /count {{ stub_status; }}
    location = /1k.bin {{ return 200 '{body}'; }}
  }}
}}
""")
    return [Nginx().binary(), "-e", f"{place.folder}/origin.log", "-c", path]


def write(place, name, text):
    path = os.path.join(place.folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def both(place):
    """Certificate and key in one file."""
    with open(place.certificate) as chain, open(place.key) as key:
        return write(place, "both.pem", chain.read() + key.read())


def user_line():
    return "user root;" if os.geteuid() == 0 else ""


def scratch(place):
    return " ".join(f"{kind}_temp_path {place.folder}/{kind};"
                    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
