internal import ArgumentParser
internal import Chimera
internal import ChimeraConfiguration

/// `chimera explain URL`: what becomes of a request, and which lines of which files say so.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what becomes of a request, and why.",
        discussion: """
            It reads the files and asks nothing that runs: which site and which route serve the request, which others \
            match and why they do not, what settings count, and where it leads.
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
    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let asked = try request()
        let result = ConfigurationLoader().load(machineFile: try file.path())
        let errors = result.diagnostics.filter { $0.severity == .error }
        Stream.error.write(errors.rendered)
        guard let configuration = result.configuration else { throw CommandStatus.configuration.exitCode }
        Stream.output.write(try Explanation(asked, in: configuration).text)
    }

    private func request() throws -> ExplainedRequest {
        guard var asked = ExplainedRequest(url: url) else {
            throw ValidationError("\"\(url)\" is not a URL such as http://shop.example/cart")
        }
        asked.method = method
        asked.client = client
        asked.listener = listener
        for header in headers {
            guard let colon = header.utf8.firstIndex(of: UInt8(ascii: ":")), colon != header.utf8.startIndex
            else {
                throw ValidationError("\"\(header)\" is not a field such as \"Cookie: a=b\"")
            }
            let value = header.utf8[header.utf8.index(after: colon)...].drop { $0 == UInt8(ascii: " ") }
            asked.fields.append(
                (
                    String(decoding: header.utf8[..<colon], as: UTF8.self),
                    String(decoding: value, as: UTF8.self)
                ))
        }
        return asked
    }
}

/// `chimera diff`: what the disk has and the last good versions do not.
struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show how the tenants' files differ from the versions that serve.",
        discussion: """
            The versions that serve are those of the data directory, where each is kept once it was good. Ends with 1 \
            where something differs.
            """)

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let path = try file.path()
        let loader = ConfigurationLoader()
        guard let disk = loader.tenantSources(machineFile: path) else {
            Stream.error.write(loader.load(machineFile: path).diagnostics.rendered)
            throw CommandStatus.configuration.exitCode
        }
        guard let data = loader.dataDirectory(machineFile: path) ?? DataDirectory.path(machineFile: path)
        else {
            Stream.error.write(
                "there is no data directory: the machine's file names none, and there is no home\n")
            throw CommandStatus.cannotServe.exitCode
        }
        let running = LastGoodStore(directory: data + "/tenants").sources()
        let differences = TenantDifference.between(running: running, disk: disk)
        Stream.output.write(differences.map(\.text).joined())
        if !differences.isEmpty { throw CommandStatus.configuration.exitCode }
    }
}
