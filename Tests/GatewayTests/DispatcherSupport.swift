import ChimeraBytes
import ChimeraConfiguration
import ChimeraEventLoop
import ChimeraFiles
import ChimeraHTTPCore
import Testing

@testable import Chimera

/// Destinations that do nothing, and how many of them were made.
final class FakeTargets: TargetFactory {
    private(set) var files: [(target: FilesTarget, sourceExtensions: [String])] = []
    private(set) var proxies: [ProxyTarget] = []

    private let cache: FilesCache

    init() throws {
        cache = FilesCache(worker: try Worker(index: 0), pool: BlockingPool(threadsMax: 1))
    }

    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget {
        files.append((target, sourceExtensions))
        return DirectoryTarget(target, sourceExtensions: sourceExtensions, cache: cache)
    }

    func proxy(_ target: ProxyTarget) -> UpstreamTargets {
        proxies.append(target)
        return UpstreamTargets(target) { _ in preconditionFailure("the dispatcher connects nowhere") }
    }
}

/// A request to dispatch.
struct Asked {
    var method = "GET"
    var target = "/"
    var host = "a.example"
    var fields: [(String, String)] = []
    var body = BodyLength.none
    var peer = "192.0.2.7"
    var listener: String?
    var port: UInt16 = 80
    var isSecure = false

    init(
        _ target: String = "/", method: String = "GET", host: String = "a.example",
        fields: [(String, String)] = [],
        body: BodyLength = .none, peer: String = "192.0.2.7", listener: String? = nil, port: UInt16 = 80,
        isSecure: Bool = false
    ) {
        self.target = target
        self.method = method
        self.host = host
        self.fields = fields
        self.body = body
        self.peer = peer
        self.listener = listener
        self.port = port
        self.isSecure = isSecure
    }
}

/// What became of a request.
struct Answered {
    let verdict: Verdict
    let context: RequestContext
    let request: RequestHead
    let response: ResponseHead

    /// The status of an answer; nil where there is none yet.
    var status: Int? {
        guard case .answer = verdict else { return nil }
        return response.status
    }

    var body: String {
        guard case .answer(.bytes(let blob)) = verdict else { return "" }
        return String(copying: blob.span)
    }

    /// The pattern of the route, if one was found.
    var route: String? { context.route.map { String(decoding: $0.text, as: UTF8.self) } }

    subscript(_ name: String) -> String? { response.value(name) }

    /// Path and query as an upstream gets them.
    var upstreamTarget: String {
        let head = RequestHead()
        return String(copying: head[context.storeTarget(of: request, in: head)])
    }
}

/// A clock that a test moves by hand.
final class HandClock {
    var nanoseconds: UInt64 = 1_000_000_000_000
}

/// A dispatcher over the configuration of one tenant.
final class Dispatching {
    let targets: FakeTargets
    let dispatcher: Dispatcher
    private var sequence = SnapshotSequence()
    let clock = HandClock()

    /// - Parameters:
    ///   - sites: the tenant's file `t.conf`.
    ///   - files: what else there is, by its path below `/etc/chimera`.
    init(_ sites: String, machine: String = "listen 127.0.0.1:80\n", files: [String: String] = [:]) throws {
        targets = try FakeTargets()
        let snapshot = sequence.next(try Dispatching.configuration(sites, machine, files))
        dispatcher = Dispatcher(snapshot, targets: targets) { [clock] in clock.nanoseconds }
    }

    /// The sites over a configuration that was made by hand.
    init(_ configuration: MachineConfiguration) throws {
        targets = try FakeTargets()
        dispatcher = Dispatcher(sequence.next(configuration), targets: targets) { [clock] in clock.nanoseconds
        }
    }

    /// One site `a.example` with these lines.
    static func site(_ lines: String, machine: String = "", files: [String: String] = [:]) throws
        -> Dispatching
    {
        try Dispatching(
            "site a.example b.example {\n\(lines)\n}\n", machine: "listen 127.0.0.1:80\n\(machine)\n",
            files: files)
    }

    /// Another content of the tenant's file counts.
    func update(_ sites: String, _ machine: String, files: [String: String] = [:]) throws {
        dispatcher.update(to: sequence.next(try Dispatching.configuration(sites, machine, files)))
        sequence.workersAreDone()
    }

    static func configuration(
        _ sites: String, _ machine: String, _ files: [String: String] = [:]
    ) throws -> MachineConfiguration {
        var system = MemoryFileSystem()
        system.add("chimera.conf", Array("\(machine)\nimport conf.d/*.conf\n".utf8))
        system.add("conf.d/t.conf", Array(sites.utf8))
        for directory in ["d", "e"] { system.addDirectory("conf.d/\(directory)") }
        for (path, content) in files { system.add(path, Array(content.utf8)) }
        let result = ConfigurationLoader(fileSystem: system, environment: { _ in nil })
            .load(machineFile: "chimera.conf")
        let errors = result.diagnostics.filter { $0.severity == .error }
        #expect(errors.isEmpty)
        return try #require(result.configuration)
    }

    func ask(_ asked: Asked) -> Answered {
        let context = RequestContext()
        let request = RequestHead()
        request.fill(asked)
        context.begin(
            peer: IPAddress(asked.peer), peerPort: 40_000,
            listener: dispatcher.listener(named: asked.listener),
            port: asked.port, isSecure: asked.isSecure)
        return again(context, request)
    }

    func ask(_ target: String) -> Answered { ask(Asked(target)) }

    func again(_ context: RequestContext, _ request: RequestHead) -> Answered {
        let response = ResponseHead()
        let verdict = dispatcher.dispatch(context, request, response)
        return Answered(verdict: verdict, context: context, request: request, response: response)
    }
}

extension RequestHead {
    func fill(_ asked: Asked) {
        reset()
        methodBytes = store(Array(asked.method.utf8).span)
        method = Method(self[methodBytes])
        target = store(Array(asked.target.utf8).span)
        if asked.target == "*" {
            form = .asterisk
        } else if asked.target.hasPrefix("/") {
            pathAndQuery = target
        } else {
            form = .authority
        }
        authority = store(Array(asked.host.utf8).span)
        body = asked.body
        for (name, value) in asked.fields { add(name: Array(name.utf8).span, value: Array(value.utf8).span) }
    }
}

extension FieldBlock {
    func value(_ name: String) -> String? {
        guard let index = index(ofName: Array(name.utf8).span) else { return nil }
        return String(copying: self[line(at: index).value])
    }

    /// All values of that name, in order.
    func values(_ name: String) -> [String] {
        (0..<lineCount).map { line(at: $0) }
            .filter { $0.isPresent && self.name(of: $0).equalsIgnoringCase(Array(name.utf8).span) }
            .map { String(copying: self[$0.value]) }
    }
}

extension String {
    init(copying bytes: Span<UInt8>) {
        self = String(decoding: Array(copying: bytes), as: UTF8.self)
    }
}
