internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// What `proxy TARGET…` leads to on one worker: one set of endpoints, or one for each value of the variables
/// in their names.
final class UpstreamTargets {
    /// Connections to endpoints, and what speaks over them.
    typealias Made = (pools: [EndpointPool], proxy: Proxy)

    private let target: ProxyTarget
    private let make: ([ReachableEndpoint]) -> Made
    /// Nil where a name has variables.
    private let fixedNames: [ReachableEndpoint]?
    @exclusivity(unchecked) private var fixed: Proxy?
    @exclusivity(unchecked) private var byNames: [[ReachableEndpoint]: Proxy] = [:]
    @exclusivity(unchecked) private var pools: [EndpointPool] = []

    /// Sets of endpoints with variables that are kept.
    private static let namesMax = 256

    /// - Parameter make: is called when a request first needs the endpoints of these names.
    init(_ target: ProxyTarget, make: @escaping ([ReachableEndpoint]) -> Made) {
        self.target = target
        self.make = make
        let names = target.targets.compactMap { ReachableEndpoint($0) }
        fixedNames = names.count == target.targets.count ? names : nil
    }

    deinit { for pool in pools { pool.close() } }

    /// The endpoints that a request goes to; nil where a variable's value cannot be part of a name.
    func proxy(_ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead) -> Proxy? {
        if let fixed { return fixed }
        if let fixedNames {
            let made = make(fixedNames)
            pools = made.pools
            fixed = made.proxy
            return made.proxy
        }
        guard let names = names(route, context, request) else { return nil }
        if let known = byNames[names] { return known }
        if byNames.count >= UpstreamTargets.namesMax {
            for pool in pools { pool.close() }
            pools = []
            byNames.removeAll()
        }
        let made = make(names)
        pools += made.pools
        byNames[names] = made.proxy
        return made.proxy
    }

    private func names(
        _ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead
    ) -> [ReachableEndpoint]? {
        var names: [ReachableEndpoint] = []
        for (index, target) in target.targets.enumerated() {
            if let name = ReachableEndpoint(target) {
                names.append(name)
                continue
            }
            let scratch = ByteBuffer(capacity: 256)
            guard case .template(_, let port) = target.address, let template = route.upstreamNames[index],
                template.expand(context, request, into: scratch), !scratch.isEmpty
            else { return nil }
            let name = EndpointName.host(String(decoding: scratch.pending, as: UTF8.self), port: port)
            names.append(ReachableEndpoint(name: name, reach: target.reach))
        }
        return names
    }
}

/// An endpoint, and where connections to it may lead.
struct ReachableEndpoint: Hashable {
    let name: EndpointName
    /// Nil: anywhere.
    let reach: [CIDR]?

    init(name: EndpointName, reach: [CIDR]?) {
        self.name = name
        self.reach = reach
    }

    /// Nil for an address with variables.
    init?(_ target: UpstreamTarget) {
        guard let name = EndpointName(target.address) else { return nil }
        self.init(name: name, reach: target.reach)
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
