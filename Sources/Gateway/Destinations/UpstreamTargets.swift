internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// What `proxy TARGET…` leads to on one worker: one set of endpoints, or one for each value of the variables in
/// their names.
final class UpstreamTargets {
    private let target: ProxyTarget
    private unowned(unsafe) let host: GatewayWorker
    private let fixed: Proxy?
    @exclusivity(unchecked) private var byNames: [[EndpointName]: Proxy] = [:]
    @exclusivity(unchecked) private var pools: [EndpointPool] = []

    /// Sets of endpoints with variables that are kept.
    private static let namesMax = 256

    init(_ target: ProxyTarget, host: GatewayWorker) {
        self.target = target
        self.host = host
        let names = target.targets.compactMap { EndpointName($0.address) }
        if names.count == target.targets.count {
            let made = names.map { host.makePool($0) }
            pools = made
            fixed = Proxy(made, on: host.worker, scratch: host.scratchInput, limits: host.limits)
        } else {
            fixed = nil
        }
    }

    deinit { for pool in pools { pool.close() } }

    /// The endpoints that a request goes to; nil where a variable's value cannot be part of a name.
    func proxy(_ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead) -> Proxy? {
        if let fixed { return fixed }
        guard let names = names(route, context, request) else { return nil }
        if let known = byNames[names] { return known }
        if byNames.count >= UpstreamTargets.namesMax {
            for pool in pools { pool.close() }
            pools = []
            byNames.removeAll()
        }
        let made = names.map { host.makePool($0) }
        pools += made
        let proxy = Proxy(made, on: host.worker, scratch: host.scratchInput, limits: host.limits)
        byNames[names] = proxy
        return proxy
    }

    private func names(
        _ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead
    ) -> [EndpointName]? {
        var names: [EndpointName] = []
        for (index, target) in target.targets.enumerated() {
            if let name = EndpointName(target.address) {
                names.append(name)
                continue
            }
            let scratch = ByteBuffer(capacity: 256)
            guard case .template(_, let port) = target.address, let template = route.upstreamNames[index],
                template.expand(context, request, into: scratch), !scratch.isEmpty
            else { return nil }
            names.append(.host(String(decoding: scratch.pending, as: UTF8.self), port: port))
        }
        return names
    }
}

extension EndpointName {
    /// Nil for an address with variables.
    init?(_ address: UpstreamAddress) {
        switch address {
        case .host(let name, let port): self = .host(name, port: port)
        case .ip(let ip, let port): self = .address(.ip(ip, port: port))
        case .unix(let path): self = .address(.unix(path: path))
        case .template: return nil
        }
    }
}
