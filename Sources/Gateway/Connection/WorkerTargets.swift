internal import ChimeraConfiguration
internal import ChimeraFiles
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// Makes what routes lead to, for one worker.
final class WorkerTargets: TargetFactory {
    private let cache: FilesCache
    unowned(unsafe) var host: GatewayWorker!

    init(files cache: FilesCache) {
        self.cache = cache
    }

    func routeSlots(of site: Site) -> [RouteSlot] {
        host.shared.counters.routeSlots(
            of: ChimeraTelemetry.SiteKey(tenant: site.tenant, name: site.name),
            site.routes.map(\.text) + [""])
    }

    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget {
        DirectoryTarget(target, sourceExtensions: sourceExtensions, cache: cache)
    }

    func proxy(_ target: ProxyTarget) -> UpstreamTargets {
        UpstreamTargets(target) { [unowned(unsafe) host = host!] names in
            let pools = names.map { host.makePool($0) }
            return (pools, Proxy(pools, on: host.worker, scratch: host.scratchInput, limits: host.limits))
        }
    }
}
