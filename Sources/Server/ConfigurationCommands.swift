internal import ArgumentParser
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraSessions
internal import ChimeraTelemetry

/// `chimera check`: says what is wrong with a configuration, and serves nothing.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Report every error of the configuration.")

    @Flag(help: "Print an array of JSON objects, for editors.")
    var json = false
    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let path = try file.path()
        var result = ConfigurationLoader().load(machineFile: path)
        if let configuration = result.configuration {
            result.diagnostics += SessionCeiling.ofMachine().warnings(of: configuration)
            result.diagnostics += ControlGroups.warnings(of: configuration)
            // The last of all, since it may give up rights.
            if let found = AccessLogCheck.diagnostic(configuration, machineFile: path) {
                result.diagnostics.append(found)
            }
        }
        if json {
            Stream.output.write(result.diagnostics.json + "\n")
        } else {
            Stream.error.write(result.diagnostics.rendered)
            Stream.output.write(CheckCommand.summary(of: result, path: path) + "\n")
        }
        if result.hasErrors || result.configuration == nil { throw CommandStatus.configuration.exitCode }
    }

    /// `chimera.conf: 3 sites, 2 errors, 1 warning`
    static func summary(of result: LoadResult, path: String) -> String {
        let errors = result.diagnostics.count { $0.severity == .error }
        var parts = [
            "\(path): \(counted(result.configuration?.sites.count { !$0.isTelemetry } ?? 0, "site"))"
        ]
        parts.append(errors == 0 ? "no errors" : counted(errors, "error"))
        let warnings = result.diagnostics.count - errors
        if warnings > 0 { parts.append(counted(warnings, "warning")) }
        return parts.joined(separator: ", ")
    }

    private static func counted(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }
}

/// `chimera fmt`: spaces configuration files evenly.
struct FormatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fmt", abstract: "Space configuration files evenly.",
        discussion:
            "Files are changed in place. Without a file it reads standard input and prints the result.")

    @Flag(help: "Change nothing; name the files that would change, and end with 1 if there are any.")
    var check = false
    @Argument(help: "The files.", completion: .file())
    var files: [String] = []

    func run() throws {
        let status = files.isEmpty ? formatInput() : files.map(formatFile).max { $0.rawValue < $1.rawValue }
        if let status, status != .clean { throw status.exitCode }
    }

    private func formatInput() -> CommandStatus {
        guard let bytes = Stream.readInput(atMost: TextFile.bytesMax) else {
            Stream.error.write("standard input cannot be read\n")
            return .cannotServe
        }
        guard let (before, after) = formatted(bytes, name: "standard input") else { return .configuration }
        if check { return before == after ? .clean : .configuration }
        Stream.output.write(after)
        return .clean
    }

    private func formatFile(_ path: String) -> CommandStatus {
        do throws(TextFile.Failure) {
            guard let (before, after) = formatted(try TextFile.read(path), name: path) else {
                return .configuration
            }
            if before == after { return .clean }
            Stream.output.write(path + "\n")
            if check { return .configuration }
            try TextFile.replace(path, with: after)
            return .clean
        } catch {
            Stream.error.write("\(path): \(error.reason)\n")
            return .cannotServe
        }
    }

    /// The text before and after; nil where it has errors, which are printed then.
    private func formatted(_ bytes: [UInt8], name: String) -> (before: String, after: String)? {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            Stream.error.write("\(name): this is not UTF-8\n")
            return nil
        }
        switch Formatter.format(text, file: name) {
        case .success(let result): return (text, result)
        case .failure(let failure):
            Stream.error.write(failure.diagnostics.rendered)
            return nil
        }
    }
}

/// `chimera reference`: prints docs/reference.md from the schema.
struct ReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference", abstract: "Print the reference of the configuration language.",
        shouldDisplay: false)

    @Flag(help: "Print docs/metrics.md instead.")
    var metrics = false

    func run() { Stream.output.write(metrics ? MetricFamily.markdown() : Reference.markdown()) }
}
