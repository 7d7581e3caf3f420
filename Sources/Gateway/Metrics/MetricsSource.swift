internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream
internal import Synchronization

/// What `/metrics` and `/status` show. Its pages read the kernel's figures and all counters, which takes
/// milliseconds where there are many sites, so they are made on threads that may block.
final class MetricsSource: Sendable {
    let state: ServiceState
    let counters: CounterBoard
    let loads: WorkerLoads
    private let limits: LimitTables
    /// By what is done in them.
    private let pools: [(name: String, pool: BlockingPool)]
    private let log: AccessLogWriter?
    private let kept: KeptPrograms
    private let workers = Mutex<[TurnCounters]>([])
    private let connectionsMax = Atomic<Int>(0)

    /// Tenants that have series of their own.
    private static let tenantsMax = 1_000

    init(
        state: ServiceState, counters: CounterBoard, loads: WorkerLoads, limits: LimitTables,
        pools: [(name: String, pool: BlockingPool)], log: AccessLogWriter?, kept: KeptPrograms
    ) {
        self.kept = kept
        self.limits = limits
        self.state = state
        self.counters = counters
        self.loads = loads
        self.pools = pools
        self.log = log
    }

    /// The workers that serve from now on, in their order.
    func set(_ turns: [TurnCounters]) { workers.withLock { $0 = turns } }

    /// Connections past which accepting pauses.
    func set(connectionsMax: Int) { self.connectionsMax.store(connectionsMax, ordering: .relaxed) }

    // MARK: Pages

    /// `/metrics`
    func exposition(_ format: ExpositionFormat) -> [UInt8] {
        var page = ExpositionWriter(format)
        let totals = counters.totals()
        writeService(&page)
        writeRequests(totals, &page)
        writeConnections(totals, &page)
        writeUpstreams(totals, &page)
        writeWorkers(&page)
        writeConfiguration(&page)
        writeProcess(&page)
        return page.finish()
    }

    private func writeService(_ page: inout ExpositionWriter) {
        page.begin(.buildInfo)
        page.sample(1, [("version", Product.version)])
        page.begin(.ready)
        page.sample(state.unreadiness == nil ? 1 : 0)
        page.begin(.draining)
        page.sample(state.isDraining ? 1 : 0)
        page.begin(.sites)
        page.sample(UInt64(state.sites))
    }

    private func writeRequests(_ totals: CounterTotals, _ page: inout ExpositionWriter) {
        page.begin(.requestsTotal)
        for index in 0...5 {
            page.sample(totals.responses(statusClass: index), [("class", Self.className(index))])
        }
        writeRoutes(&page)
        writeSites(&page)
        page.begin(.received)
        page.sample(totals[.bytesIn])
        page.begin(.sent)
        page.sample(totals[.bytesOut])
        page.begin(.refusals)
        for refusal in Refusal.allCases { page.sample(totals[refusal], [("reason", refusal.token)]) }
        page.begin(.limitHits)
        for limit in LimitHit.allCases {
            let count =
                limit == .limitTable
                ? limits.rates.forgottenBuckets &+ limits.places.uncounted : totals[limit]
            page.sample(count, [("limit", "\(limit.token)")])
        }
        page.begin(.tunnels)
        page.sample(totals[.tunnels])
        page.begin(.sessions)
        page.sample(totals[.sessionsStarted])
        page.begin(.sessionsOpen)
        // Read one after the other: more may seem to have ended than were started.
        let (started, ended) = (totals[.sessionsStarted], totals[.sessionsEnded])
        page.sample(started > ended ? started - ended : 0)
        page.begin(.sessionsEnded)
        for reason in SessionEnd.Reason.allCases {
            page.sample(kept.figures.count(reason), [("reason", "\(reason.token)")])
        }
        page.begin(.programsFailed)
        page.sample(totals[.programsFailed])
        writeKept(&page)
    }

    private func writeKept(_ page: inout ExpositionWriter) {
        let figures = kept.figures
        page.begin(.programsWarm)
        page.sample(UInt64(kept.warmCount))
        page.begin(.poolRequests)
        page.sample(figures.poolHits.count, [("outcome", "ready")])
        page.sample(figures.poolMisses.count, [("outcome", "empty")])
        page.begin(.poolDeaths)
        page.sample(figures.poolDeaths.count)
        page.begin(.programsUnattended)
        page.sample(UInt64(kept.unattended.count))
        page.begin(.sessionReturns)
        page.sample(figures.resumed.count, [("outcome", "resumed")])
        page.sample(figures.unknownTokens.count, [("outcome", "unknown")])
        page.begin(.sessionTakeovers)
        page.sample(figures.takenOver.count)
        page.begin(.sessionLost)
        page.sample(figures.lostOctets.count)
        page.begin(.sessionSlow)
        page.sample(figures.tooSlow.count)
    }

    /// `2xx`
    private static func className(_ index: Int) -> String { index == 0 ? "none" : "\(index)xx" }

    private func writeRoutes(_ page: inout ExpositionWriter) {
        page.begin(.requestDuration)
        for route in counters.routes() {
            for index in 0...5 {
                let histogram = route.histogram(statusClass: index)
                guard histogram.count > 0 else { continue }
                page.sample(
                    histogram, .latency,
                    [
                        ("tenant", route.site?.tenant ?? ""), ("site", route.site?.name ?? ""),
                        ("route", route.route), ("class", Self.className(index)),
                    ])
            }
        }
    }

    private func writeSites(_ page: inout ExpositionWriter) {
        let sites = counters.sites().filter { $0.totals.requests > 0 }
        func labels(_ site: SiteFigures) -> [(StaticString, String)] {
            [("tenant", site.site?.tenant ?? ""), ("site", site.site?.name ?? "")]
        }
        page.begin(.siteRequests)
        for site in sites { page.sample(site.totals.requests, labels(site)) }
        page.begin(.siteErrors)
        for site in sites {
            page.sample(site.totals.clientErrors, labels(site) + [("class", "4xx")])
            page.sample(site.totals.serverErrors, labels(site) + [("class", "5xx")])
        }
        page.begin(.siteReceived)
        for site in sites { page.sample(site.totals.bytesIn, labels(site)) }
        page.begin(.siteSent)
        for site in sites { page.sample(site.totals.bytesOut, labels(site)) }
    }

    private func writeConnections(_ totals: CounterTotals, _ page: inout ExpositionWriter) {
        page.begin(.accepted)
        page.sample(totals[.connectionsAccepted])
        page.begin(.handedOver)
        page.sample(totals[.connectionsHandedOver])
        let (busy, idle) = totals.connectionsByState
        page.begin(.open)
        page.sample(busy, [("state", "busy")])
        page.sample(idle, [("state", "idle")])
        page.begin(.connectionsMax)
        page.sample(UInt64(connectionsMax.load(ordering: .relaxed)))
        page.begin(.closes)
        for reason in CloseReason.allCases { page.sample(totals[reason], [("reason", "\(reason.token)")]) }
        writeTLS(totals, &page)
        writeHTTP2(totals, &page)
    }

    private func writeTLS(_ totals: CounterTotals, _ page: inout ExpositionWriter) {
        page.begin(.handshakes)
        page.sample(totals[.tlsFull], [("kind", "full")])
        page.sample(totals[.tlsResumed], [("kind", "resumed")])
        page.begin(.handshakeFailures)
        for failure in HandshakeFailure.allCases {
            page.sample(totals[failure], [("reason", "\(failure.token)")])
        }
    }

    private func writeHTTP2(_ totals: CounterTotals, _ page: inout ExpositionWriter) {
        page.begin(.http2Connections)
        page.sample(totals[.http2Connections])
        page.begin(.http2Streams)
        page.sample(totals[.http2Streams])
        page.begin(.http2StreamsRefused)
        page.sample(totals[.http2StreamsRefused])
        page.begin(.http2Violations)
        for violation in Violation.allCases {
            let count = totals.violations[Int(violation.rawValue)]
            if count > 0 { page.sample(count, [("violation", violation.token)]) }
        }
        page.begin(.http2Frames)
        for kind in Flood.allCases {
            page.sample(totals.frames[Int(kind.rawValue)], [("kind", kind.token)])
        }
    }

    private func writeUpstreams(_ totals: CounterTotals, _ page: inout ExpositionWriter) {
        let endpoints = counters.endpoints().filter { $0.requests > 0 || $0.name != nil }
        page.begin(.upstreamRequests)
        for endpoint in endpoints { page.sample(endpoint.requests, [("endpoint", endpoint.name ?? "")]) }
        page.begin(.upstreamErrors)
        for endpoint in endpoints {
            for error in UpstreamError.allCases {
                let count = endpoint.errors(kind: Int(error.rawValue))
                guard count > 0 else { continue }
                page.sample(count, [("endpoint", endpoint.name ?? ""), ("error", "\(error.proxyStatus)")])
            }
        }
        page.begin(.upstreamConnections)
        for endpoint in endpoints { page.sample(endpoint.connections, [("endpoint", endpoint.name ?? "")]) }
        page.begin(.upstreamAnswer)
        for endpoint in endpoints where endpoint.answers.count > 0 {
            page.sample(endpoint.answers, .latency, [("endpoint", endpoint.name ?? "")])
        }
        page.begin(.upstreamRetries)
        page.sample(totals[.upstreamRetries])
    }

    private func writeWorkers(_ page: inout ExpositionWriter) {
        let workers = workers.withLock { $0 }
        var turns = [UInt64](repeating: 0, count: HistogramScale.cells)
        var reloads = turns
        page.begin(.workersCount)
        page.sample(UInt64(workers.count))
        page.begin(.workerBusy)
        for (index, worker) in workers.enumerated() {
            page.sample(nanoseconds: worker.busyNanoseconds, [("worker", "\(index)")])
            worker.addTurns(to: &turns)
            worker.addReloads(to: &reloads)
        }
        page.begin(.workerWaiting)
        for (index, worker) in workers.enumerated() {
            page.sample(nanoseconds: worker.waitingNanoseconds, [("worker", "\(index)")])
        }
        page.begin(.workerConnections)
        for index in workers.indices {
            page.sample(UInt64(max(0, loads.connections(of: index))), [("worker", "\(index)")])
        }
        page.begin(.turnSeconds)
        page.sample(HistogramFigures(turns), .turns, [])
        page.begin(.reloadTurnSeconds)
        page.sample(HistogramFigures(reloads), .turns, [])
        let loads = pools.map { ($0.name, $0.pool.load) }
        page.begin(.blockingWaiting)
        for (name, load) in loads { page.sample(UInt64(load.waiting), [("pool", name)]) }
        page.begin(.blockingThreads)
        for (name, load) in loads {
            let busy = UInt64(max(0, load.threads - load.idleThreads))
            page.sample(busy, [("pool", name), ("state", "busy")])
            page.sample(UInt64(load.idleThreads), [("pool", name), ("state", "idle")])
        }
        page.begin(.logDropped)
        page.sample(log?.droppedRecords ?? 0)
        page.begin(.logLost)
        page.sample(log?.lostBytes ?? 0)
    }

    private func writeConfiguration(_ page: inout ExpositionWriter) {
        let (status, loads) = (state.reload, state.loads)
        page.begin(.configLoads)
        for outcome in ReloadStatus.Outcome.allCases {
            page.sample(loads[outcome] ?? 0, [("outcome", outcome.rawValue)])
        }
        page.begin(.configLastOutcome)
        page.sample(status.outcome == .failed ? 0 : 1)
        page.begin(.configApplied)
        page.sample(UInt64(max(0, status.succeededAt / 1_000)))
        page.begin(.configTenants)
        for service in TenantStatus.Service.allCases {
            page.sample(
                UInt64(status.tenants.count { $0.service == service }), [("state", service.rawValue)])
        }
        page.begin(.configTenantOld)
        for tenant in status.tenants.lazy.filter({ $0.service != .current }).prefix(Self.tenantsMax) {
            page.sample(
                1,
                [
                    ("tenant", tenant.id), ("serves", tenant.service.rawValue),
                    ("error", tenant.errors.first.map { "\($0.position)" } ?? ""),
                ])
        }
        page.begin(.configTenantLoaded)
        for tenant in status.tenants.prefix(Self.tenantsMax) where tenant.servedSince > 0 {
            page.sample(UInt64(tenant.servedSince / 1_000), [("tenant", tenant.id)])
        }
    }

    private func writeProcess(_ page: inout ExpositionWriter) {
        let figures = ProcessFigures.now
        page.begin(.processCPU)
        page.sample(nanoseconds: UInt64(max(0, figures.cpuMicroseconds)) &* 1_000)
        page.begin(.processResident)
        page.sample(UInt64(max(0, figures.residentBytes)))
        page.begin(.processVirtual)
        page.sample(UInt64(max(0, figures.virtualBytes)))
        page.begin(.processDescriptors)
        page.sample(UInt64(max(0, figures.descriptors)))
        page.begin(.processDescriptorsMax)
        page.sample(UInt64(max(0, ProcessFigures.descriptorLimit)))
        page.begin(.processThreads)
        page.sample(UInt64(max(0, figures.threads)))
        page.begin(.processStart)
        page.sample(UInt64(max(0, figures.startedAt)))
    }
}
