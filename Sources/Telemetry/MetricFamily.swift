/// One metric that `/metrics` shows: its name, its type, its labels and what it means.
package struct MetricFamily: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    package let name: String
    package let kind: Kind
    /// The names of its labels.
    package let labels: [String]
    /// One line, which is the metric's help text and its row of docs/metrics.md.
    package let help: String

    init(_ name: String, _ kind: Kind, _ help: String) { self.init(name, kind, [], help) }

    init(_ name: String, _ kind: Kind, _ labels: [String], _ help: String) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }

    /// docs/metrics.md.
    package static func markdown() -> String {
        var page = """
            # Metrics

            What `/metrics` shows where the machine's file has `metrics ADDRESS`. This page is made from the table that the \
            program itself exports from. Times are in seconds, sizes in bytes. Every family is there from the start, with its \
            help and its type, even where nothing was counted yet.

            Sites past the first \(SiteSlot.slotsMax), routes past the first \(RouteSlot.slotsMax) that were asked for, and \
            endpoints past the first \(EndpointSlot.slotsMax) are counted together, with empty labels.

            | name | type | labels | meaning |
            |---|---|---|---|

            """
        for family in all {
            let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
            page +=
                "| `\(family.name)` | \(family.kind.rawValue) | \(labels.isEmpty ? "–" : labels) | \(family.help) |\n"
        }
        return page + """

            A request's time runs from its whole head to the last byte that the kernel took of its answer, in turns of the \
            worker's loop: what is answered within one turn counts as no time, and how long turns take is \
            `chimera_worker_turn_seconds`. `class` is the status' first digit and `xx`, or `none` for a request whose client \
            left before an answer.

            """
    }
}

extension MetricFamily {
    /// All families, in the order of the page.
    package static let all = service + requests + connections + upstreams + workers + configuration + process

    // MARK: The service

    package static let buildInfo = MetricFamily(
        "chimera_build_info", .gauge, ["version"], "Always 1; the label says which version runs.")
    package static let ready = MetricFamily(
        "chimera_ready", .gauge,
        "1 where `/ready` says 200: a configuration is in service and nothing drains.")
    package static let draining = MetricFamily(
        "chimera_draining", .gauge, "1 from the moment on from which no new connection is accepted.")
    package static let sites = MetricFamily("chimera_sites", .gauge, "Sites in service.")

    private static let service = [buildInfo, ready, draining, sites]

    // MARK: Requests

    package static let requestsTotal = MetricFamily(
        "chimera_requests_total", .counter, ["class"], "Requests that ended, by the class of their status.")
    package static let requestDuration = MetricFamily(
        "chimera_request_duration_seconds", .histogram, ["tenant", "site", "route", "class"],
        "Time of requests by site, route and class of status; `_count` is how many there were.")
    package static let siteRequests = MetricFamily(
        "chimera_site_requests_total", .counter, ["tenant", "site"], "Requests that ended, by site.")
    package static let siteErrors = MetricFamily(
        "chimera_site_errors_total", .counter, ["tenant", "site", "class"],
        "Answers with 400 to 499 (`4xx`) and with 500 to 599 (`5xx`), by site.")
    package static let siteReceived = MetricFamily(
        "chimera_site_received_bytes_total", .counter, ["tenant", "site"],
        "Bytes of requests' bodies, by site.")
    package static let siteSent = MetricFamily(
        "chimera_site_sent_bytes_total", .counter, ["tenant", "site"], "Bytes of answers' bodies, by site.")
    package static let received = MetricFamily(
        "chimera_received_bytes_total", .counter, "Bytes of requests' bodies.")
    package static let sent = MetricFamily("chimera_sent_bytes_total", .counter, "Bytes of answers' bodies.")
    package static let refusals = MetricFamily(
        "chimera_refusals_total", .counter, ["reason"],
        "Requests and upstreams' answers that were refused, by reason.")
    package static let limitHits = MetricFamily(
        "chimera_limit_hits_total", .counter, ["limit"], "How often a bound was reached, by its name.")
    package static let tunnels = MetricFamily(
        "chimera_tunnels_total", .counter, "Requests that became tunnels, such as WebSockets.")
    package static let sessions = MetricFamily(
        "chimera_sessions_started_total", .counter, "Clients that got a program.")
    package static let sessionsOpen = MetricFamily(
        "chimera_sessions", .gauge, "Clients that have a program.")
    package static let sessionsEnded = MetricFamily(
        "chimera_sessions_ended_total", .counter, ["reason"],
        "Clients whose session has ended, by why: `program` where that ended, `client` where the client did.")
    package static let programsFailed = MetricFamily(
        "chimera_program_failures_total", .counter, "Programs of sessions that could not be started.")
    package static let programsWarm = MetricFamily(
        "chimera_programs_warm", .gauge, "Programs that wait for a client (`pool=`).")
    package static let poolRequests = MetricFamily(
        "chimera_pool_requests_total", .counter, ["outcome"],
        "Clients of routes with `pool=`, by whether a program waited for them.")
    package static let poolDeaths = MetricFamily(
        "chimera_pool_deaths_total", .counter, "Programs that ended while they waited for a client.")
    package static let programsUnattended = MetricFamily(
        "chimera_programs_unattended", .gauge,
        "Programs without a client: of `resume=`, whose client may come back, and of `shared=`.")
    package static let sessionReturns = MetricFamily(
        "chimera_session_returns_total", .counter, ["outcome"],
        "Clients that presented a token, by whether there was a program for it.")
    package static let sessionTakeovers = MetricFamily(
        "chimera_session_takeovers_total", .counter,
        "Clients that had to go since another one presented their token.")
    package static let sessionLost = MetricFamily(
        "chimera_session_lost_bytes_total", .counter, "Bytes of output that a client was told to have lost.")
    package static let sessionSlow = MetricFamily(
        "chimera_session_slow_total", .counter,
        "Clients of `shared=` that were cut off since they took too little.")

    private static let requests = [
        requestsTotal, requestDuration, siteRequests, siteErrors, siteReceived, siteSent, received, sent,
        refusals, limitHits, tunnels, sessions, sessionsOpen, sessionsEnded, programsFailed,
        programsWarm, poolRequests, poolDeaths, programsUnattended, sessionReturns, sessionTakeovers,
        sessionLost, sessionSlow,
    ]

    // MARK: Connections

    package static let accepted = MetricFamily(
        "chimera_connections_accepted_total", .counter, "Clients' connections that were accepted.")
    package static let handedOver = MetricFamily(
        "chimera_connections_handed_over_total", .counter,
        "Connections that one worker accepted and another serves, since it had fewer.")
    package static let open = MetricFamily(
        "chimera_connections", .gauge, ["state"],
        "Clients' connections that are open: `busy`, with something under way, or `idle`.")
    package static let connectionsMax = MetricFamily(
        "chimera_connections_max", .gauge, "Connections past which accepting pauses.")
    package static let closes = MetricFamily(
        "chimera_closes_total", .counter, ["reason"],
        "Connections and requests that ended before their time, by reason.")

    package static let handshakes = MetricFamily(
        "chimera_tls_handshakes_total", .counter, ["kind"],
        "TLS handshakes: `full`, with a certificate, or `resumed` with the session of an earlier connection.")
    package static let handshakeFailures = MetricFamily(
        "chimera_tls_handshake_failures_total", .counter, ["reason"],
        "Connections to a port with TLS that never came to carry requests, by reason.")
    package static let http2Connections = MetricFamily(
        "chimera_http2_connections_total", .counter, "Clients' connections that spoke HTTP/2.")
    package static let http2Streams = MetricFamily(
        "chimera_http2_streams_total", .counter, "Streams of connections of HTTP/2 that have ended.")
    package static let http2StreamsRefused = MetricFamily(
        "chimera_http2_streams_refused_total", .counter,
        "Streams beyond those that one connection may have at once; REFUSED_STREAM says so.")
    package static let http2Violations = MetricFamily(
        "chimera_http2_violations_total", .counter, ["violation"],
        "Rules and bounds of HTTP/2 that clients broke: a stream or its connection ended by that.")
    package static let http2Frames = MetricFamily(
        "chimera_http2_counted_frames_total", .counter, ["kind"],
        "Frames of which a client may send so many in a time only, of connections that have ended.")

    private static let connections = [
        accepted, handedOver, open, connectionsMax, closes, handshakes, handshakeFailures, http2Connections,
        http2Streams, http2StreamsRefused, http2Violations, http2Frames,
    ]

    // MARK: Upstreams

    package static let upstreamRequests = MetricFamily(
        "chimera_upstream_requests_total", .counter, ["endpoint"], "Requests that were passed on.")
    package static let upstreamErrors = MetricFamily(
        "chimera_upstream_errors_total", .counter, ["endpoint", "error"],
        "What went wrong with an endpoint, as RFC 9209 names it; each address that was tried counts.")
    package static let upstreamConnections = MetricFamily(
        "chimera_upstream_connections_total", .counter, ["endpoint"],
        "Connections that were made to an endpoint.")
    package static let upstreamAnswer = MetricFamily(
        "chimera_upstream_answer_seconds", .histogram, ["endpoint"],
        "Time from a request's first byte to the head of the endpoint's answer.")
    package static let upstreamRetries = MetricFamily(
        "chimera_upstream_retries_total", .counter,
        "Requests that were sent a second time, since a kept connection turned out to be closed.")

    private static let upstreams = [
        upstreamRequests, upstreamErrors, upstreamConnections, upstreamAnswer, upstreamRetries,
    ]

    // MARK: Workers

    package static let workersCount = MetricFamily("chimera_workers", .gauge, "Worker threads.")
    package static let workerBusy = MetricFamily(
        "chimera_worker_busy_seconds_total", .counter, ["worker"],
        "Time that a worker spent in turns of its loop; its rate is the worker's busy share.")
    package static let workerWaiting = MetricFamily(
        "chimera_worker_waiting_seconds_total", .counter, ["worker"],
        "Time that a worker waited for events.")
    package static let workerConnections = MetricFamily(
        "chimera_worker_connections", .gauge, ["worker"], "Connections that a worker serves.")
    package static let turnSeconds = MetricFamily(
        "chimera_worker_turn_seconds", .histogram,
        "Time of a turn: as long as that, everything else on the worker waits.")
    package static let reloadTurnSeconds = MetricFamily(
        "chimera_worker_reload_turn_seconds", .histogram, "The same for turns that changed the configuration."
    )
    package static let blockingWaiting = MetricFamily(
        "chimera_blocking_queue", .gauge, ["pool"],
        "Work that may block and that no thread has begun: opening files, resolving names, checking passwords."
    )
    package static let blockingThreads = MetricFamily(
        "chimera_blocking_threads", .gauge, ["pool", "state"], "Threads for such work, `busy` and `idle`.")
    package static let logDropped = MetricFamily(
        "chimera_log_dropped_records_total", .counter,
        "Lines of the access log that found no room, since the disk did not follow.")
    package static let logLost = MetricFamily(
        "chimera_log_lost_bytes_total", .counter,
        "Bytes of the access log that were taken and could not be written.")

    private static let workers = [
        workersCount, workerBusy, workerWaiting, workerConnections, turnSeconds, reloadTurnSeconds,
        blockingWaiting, blockingThreads, logDropped, logLost,
    ]

    // MARK: Configuration

    package static let configLoads = MetricFamily(
        "chimera_config_loads_total", .counter, ["outcome"],
        "Loads of the configuration: `applied`, `unchanged` or `failed`.")
    package static let configLastOutcome = MetricFamily(
        "chimera_config_last_load_successful", .gauge,
        "0 where the last load failed, so that the configuration before stays in service.")
    package static let configApplied = MetricFamily(
        "chimera_config_last_applied_timestamp_seconds", .gauge,
        "When a load of the configuration last succeeded, in seconds since 1970.")
    package static let configTenants = MetricFamily(
        "chimera_config_tenants", .gauge, ["state"],
        "Tenants whose file in service is the one on disk (`current`), an earlier version (`last-good`), or nothing (`none`)."
    )
    package static let configTenantOld = MetricFamily(
        "chimera_config_tenant_outdated", .gauge, ["tenant", "serves", "error"],
        "1 for each tenant whose file has errors, so that an earlier version (`last-good`) or nothing (`none`) is in service, with the place of the first error; the first 1,000."
    )
    package static let configTenantLoaded = MetricFamily(
        "chimera_config_tenant_loaded_timestamp_seconds", .gauge, ["tenant"],
        "When the version in service of a tenant's file came into service; the first 1,000 tenants.")

    private static let configuration = [
        configLoads, configLastOutcome, configApplied, configTenants, configTenantOld, configTenantLoaded,
    ]

    // MARK: The process

    package static let processCPU = MetricFamily(
        "process_cpu_seconds_total", .counter, "CPU time, user and system.")
    package static let processResident = MetricFamily(
        "process_resident_memory_bytes", .gauge, "Resident memory.")
    package static let processVirtual = MetricFamily("process_virtual_memory_bytes", .gauge, "Address space.")
    package static let processDescriptors = MetricFamily("process_open_fds", .gauge, "Open descriptors.")
    package static let processDescriptorsMax = MetricFamily(
        "process_max_fds", .gauge, "The limit of descriptors.")
    package static let processThreads = MetricFamily("process_threads", .gauge, "Threads.")
    package static let processStart = MetricFamily(
        "process_start_time_seconds", .gauge, "When the process began, in seconds since 1970.")

    private static let process = [
        processCPU, processResident, processVirtual, processDescriptors, processDescriptorsMax,
        processThreads,
        processStart,
    ]
}
