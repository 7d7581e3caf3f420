internal import ChimeraBytes
package import ChimeraConfiguration
internal import ChimeraHTTPCore
package import ChimeraSessions
internal import ChimeraWebSocket

/// What `session` leads to on one worker.
final class SessionDestination {
    let target: SessionTarget
    let options: SessionOptions
    /// What is agreed to of compression; nil for none.
    let deflate: DeflatePolicy?
    /// Which pages may reach the program.
    let origins: OriginRule
    /// The captures of the route's pattern: the number of the segment and the variable that a program gets.
    let captures: [(segment: Int, variable: String)]
    /// Where `*` of the route's pattern begins.
    let restSegment: Int?

    /// The route as all workers know it, once it was asked for.
    @exclusivity(unchecked) private var knownKey: RouteKey?

    init(_ target: SessionTarget, _ pattern: PathPattern) {
        self.target = target
        options = SessionOptions(target)
        origins = OriginRule(allowed: target.origins)
        deflate = target.compresses ? DeflatePolicy() : nil
        var captures: [(segment: Int, variable: String)] = []
        var restSegment: Int?
        for (number, segment) in pattern.segments.enumerated() {
            switch segment {
            case .capture(let name):
                captures.append((number, "CAPTURE_" + name.uppercased().replacingOthers))
            case .rest, .fileExtension: restSegment = number
            case .literal: break
            }
        }
        self.captures = captures
        self.restSegment = restSegment
    }

    /// What the program is started with, but for the environment.
    func order(_ environment: [String]) -> ProgramOrder {
        ProgramOrder(target, environment: environment)
    }

    /// The route of a request that leads here.
    func key(_ context: RequestContext) -> RouteKey {
        if let knownKey { return knownKey }
        let key = RouteKey(
            tenant: String(decoding: context.site?.tenant ?? [], as: UTF8.self),
            site: String(decoding: context.site?.name ?? [], as: UTF8.self),
            route: String(decoding: context.route?.text ?? [], as: UTF8.self), target: target)
        knownKey = key
        return key
    }
}

extension ProgramLimits {
    init(_ resources: SessionTarget.Resources) {
        self.init()
        memory = resources.memory.map { Int(clamping: $0) }
        processes = resources.processes
        cpuPercent = resources.cpuPercent
        files = resources.files
        cpuSeconds = resources.cpuSeconds
    }
}

extension MachineConfiguration {
    /// What cgroups are needed for, of the programs of all sessions.
    package var programControllers: Set<ControlGroups.Controller> {
        var wanted: Set<ControlGroups.Controller> = []
        for site in sites {
            for route in site.site.routes {
                if case .session(let target) = route.destination {
                    wanted.formUnion(ProgramLimits(target.resources).controllers)
                }
            }
        }
        return wanted
    }
}

extension SessionOptions {
    init(_ target: SessionTarget) {
        self.init()
        switch target.framing {
        case .lines: framing = .lines
        case .raw: framing = .raw
        case .length: framing = .length
        case .typed: framing = .typed
        }
        switch target.errorOutput {
        case .log: errorOutput = .log
        case .inline: errorOutput = .inline
        case .off: errorOutput = .off
        }
        messageBytesMax = Int(clamping: target.messageBytesMax)
        pingAfter = target.ping.milliseconds
        pongWithin = target.pong.milliseconds
        idleMax = target.idle.milliseconds
        lifeMax = target.life.milliseconds
        ending.terminate = target.terminateMilliseconds
        ending.kill = target.killMilliseconds
    }
}

extension TimeLimit {
    /// Nil for no bound.
    fileprivate var milliseconds: Int64? {
        if case .milliseconds(let time) = self { time } else { nil }
    }
}

extension String {
    /// With `_` in the place of what no variable's name has.
    fileprivate var replacingOthers: String {
        String(
            decoding: utf8.map { byte in
                let isName = (65...90).contains(byte & 0xDF) || (48...57).contains(byte)
                return isName ? byte : UInt8(ascii: "_")
            }, as: UTF8.self)
    }
}
