internal import ArgumentParser
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration

/// `--running`: whom `explain` and `diff` ask.
struct RunningOption: ParsableArguments {
    @Flag(help: "Ask the gateway that runs what it serves.")
    var running = false
    @OptionGroup var admin: AdminOption

    func validate() throws {
        guard !running, admin.admin != nil || admin.json else { return }
        throw ValidationError("--admin and --json are for --running")
    }
}

/// `chimera explain URL`: what becomes of a request, and which lines of which files say so.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what becomes of a request, and why.",
        discussion: """
            Which site and which route serve the request, which others match and why they do not, what settings count, \
            and where it leads. It reads the files and asks nothing that runs, or with --running it asks the gateway what \
            it serves now, last good versions included.
            """)

    @Argument(help: "http://HOST[:PORT]/PATH, as a client would ask.")
    var url: String
    @Option(help: "The method.")
    var method = "GET"
    @Option(name: .customLong("header"), help: "A field of the request, as \"Name: value\"; may be repeated.")
    var headers: [String] = []
    @Option(help: "The client's address.")
    var client = "127.0.0.1"
    @Option(help: "The `name=` of the listener that the request comes in by.")
    var listener: String?
    @OptionGroup var source: RunningOption

    func run() throws {
        let asked = try request()
        if source.running { return try ask(asked) }
        let result = ConfigurationLoader().load(machineFile: try source.admin.file.path())
        let errors = result.diagnostics.filter { $0.severity == .error }
        Stream.error.write(errors.rendered)
        guard let configuration = result.configuration else { throw CommandStatus.configuration.exitCode }
        Stream.output.write(try Explanation(asked, in: configuration).text)
    }

    private func request() throws -> ExplainedRequest {
        guard var asked = ExplainedRequest(url: url) else {
            throw ValidationError("\"\(url)\" is not a URL such as http://shop.example/cart")
        }
        guard asked.set(method: method) else { throw ValidationError("\"\(method)\" is not a method") }
        guard asked.set(client: client) else {
            throw ValidationError("\"\(client)\" is not an address such as 192.0.2.7 or 2001:db8::7")
        }
        asked.listener = listener
        for header in headers {
            guard asked.add(field: header) else {
                throw ValidationError("\"\(header)\" is not a field such as \"Cookie: a=b\"")
            }
        }
        return asked
    }

    private func ask(_ asked: ExplainedRequest) throws {
        let lines = try source.admin.ask(
            .of([
                "command": .string("explain"), "url": .string(url), "method": .string(asked.method),
                "fields": .array(headers.map { .string($0) }), "client": .string(asked.client),
                "listener": asked.listener.map { .string($0) },
            ]))
        if !source.admin.json { Stream.output.write(lines.last?["text"]?.string ?? "") }
    }
}

extension ExplainedRequest {
    /// As `explain` sends it; nil where it is none.
    init?(_ body: JSON) {
        guard let url = body["url"]?.string else { return nil }
        self.init(url: url)
        if let text = body["method"]?.string, !set(method: text) { return nil }
        if let text = body["client"]?.string, !set(client: text) { return nil }
        listener = body["listener"]?.string
        for field in body["fields"]?.array ?? [] {
            guard let text = field.string, add(field: text) else { return nil }
        }
    }
}

/// `chimera diff`: what the disk has and the last good versions do not.
struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show how the tenants' files differ from the versions that serve.",
        discussion: """
            The versions that serve are those of the data directory, where each is kept once it was good, or with \
            --running those of the gateway that runs. Ends with 1 where something differs.
            """)

    @OptionGroup var source: RunningOption

    func run() throws {
        let isSame = try source.running ? askRunning() : compareKept()
        if !isSame { throw CommandStatus.configuration.exitCode }
    }

    /// - Returns: whether nothing differs.
    private func askRunning() throws -> Bool {
        let differences = try source.admin.ask(.of(["command": .string("diff")])).dropLast()
        if !source.admin.json { Stream.output.write(differences.map { $0["text"]?.string ?? "" }.joined()) }
        return differences.isEmpty
    }

    private func compareKept() throws -> Bool {
        let path = try source.admin.file.path()
        let loader = ConfigurationLoader()
        guard let data = loader.dataDirectory(machineFile: path) ?? DataDirectory.path(machineFile: path)
        else {
            Stream.error.write(
                "there is no data directory: the machine's file names none, and there is no home\n")
            throw CommandStatus.cannotServe.exitCode
        }
        let kept = LastGoodStore(directory: data + "/tenants").sources()
        guard let disk = loader.tenantSources(machineFile: path, running: kept) else {
            Stream.error.write(loader.load(machineFile: path).diagnostics.rendered)
            throw CommandStatus.configuration.exitCode
        }
        let differences = TenantDifference.between(running: kept, disk: disk)
        Stream.output.write(differences.map(\.text).joined())
        return differences.isEmpty
    }
}
