internal import ChimeraBytes
internal import Glibc

/// What a load gives.
package struct LoadResult: Sendable {
    /// Nil only where the machine's own file cannot be used. Tenants whose files have errors are left out of it.
    package var configuration: MachineConfiguration?
    /// Errors and warnings, file by file, in the order of their places.
    package var diagnostics: [Diagnostic]
    /// The tenants that are left out.
    package var refusedTenants: [String]

    /// True if any file has an error: what `check` ends with.
    package var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }
}

/// Reads the machine's file and the tenants' files that it imports.
package struct ConfigurationLoader: Sendable {
    private let fileSystem: any ConfigurationFileSystem
    private let environment: @Sendable (String) -> String?
    private let limits: ConfigurationLimits

    /// - Parameters:
    ///   - fileSystem: where the files are.
    ///   - environment: what `env:NAME` stands for; the process's own environment if not given.
    package init(
        fileSystem: any ConfigurationFileSystem = SystemFileSystem(),
        environment: @escaping @Sendable (String) -> String? = { name in
            getenv(name).map { String(cString: $0) }
        },
        limits: ConfigurationLimits = ConfigurationLimits()
    ) {
        self.fileSystem = fileSystem
        self.environment = environment
        self.limits = limits
    }

    /// Loads all that `machineFile` names. A relative path counts from the current directory, and messages show it as
    /// it is given.
    package func load(machineFile: String) -> LoadResult {
        let session = session
        let source: SourceFile
        do throws(FileFailure) {
            source = try session.source(machineFile)
        } catch {
            return LoadResult(
                configuration: nil, diagnostics: [Self.unreadable(machineFile, error)], refusedTenants: [])
        }
        var load = Load(session, FileDecoder(source, owner: "", session: session, machine: nil))
        load.readTenants()
        return load.result()
    }

    /// Loads `machineFile` alone, without the tenants' files: for what is to be known before those are read. Where it
    /// has errors, the configuration is what could be read of it all the same, and serves nothing.
    package func load(machineFileAlone machineFile: String) -> LoadResult {
        let session = session
        do throws(FileFailure) {
            let source = try session.source(machineFile)
            let load = Load(session, FileDecoder(source, owner: "", session: session, machine: nil))
            var result = load.result()
            result.configuration = load.machineConfiguration
            return result
        } catch {
            return LoadResult(
                configuration: nil, diagnostics: [Self.unreadable(machineFile, error)], refusedTenants: [])
        }
    }

    /// The configuration of `chimera files DIR`: every host's files, on these addresses.
    package func load(files directory: String, listen: [String] = ["127.0.0.1:8080"]) -> LoadResult {
        load(verb: ["files", directory], listen: listen)
    }

    /// The configuration of `chimera proxy ADDRESS…`.
    package func load(proxy targets: [String], listen: [String] = ["127.0.0.1:8080"]) -> LoadResult {
        load(verb: ["proxy"] + targets, listen: listen)
    }

    /// The configuration of `chimera session -- COMMAND…`: it answers to the names of this machine alone, since a page of
    /// somebody else must not reach a program by having its own name lead here.
    ///
    /// - Parameters:
    ///   - options: `key=value`, as the verb takes them.
    ///   - isOpen: it answers to every name.
    package func load(
        session command: [String], options: [String], listen: [String] = ["127.0.0.1:8080"],
        isOpen: Bool = false
    ) -> LoadResult {
        load(
            verb: ["session"] + options + ["--"] + command, listen: listen, options: options.count,
            hosts: isOpen ? ["*"] : ["localhost", "127.0.0.1", "[::1]"])
    }

    var session: LoadSession {
        LoadSession(fileSystem: fileSystem, environment: environment, limits: limits)
    }

    /// Words of the command line are never expanded, so they stand as raw words.
    ///
    /// - Parameter options: how many words behind the verb are options, `key=value`.
    private func load(
        verb: [String], listen: [String], options: Int = 0, hosts: [String] = ["*"]
    ) -> LoadResult {
        let session = session
        let lines = listen.map { ["listen", $0] } + [verb]
        let text = lines.map { $0.joined(separator: " ") }.joined(separator: "\n")
        let source = SourceFile(
            name: "command line", directory: session.currentDirectory, bytes: Array(text.utf8))
        func statement(
            _ words: [String], line: Int, block: [Statement]? = nil, options: Int = 0
        ) -> Statement {
            var column = 1
            let tokens = words.enumerated().map { index, word in
                let length = word.unicodeScalars.count
                defer { column += length + 1 }
                // The first of two dashes is that of the command line itself.
                let isBare = index <= options || (index == options + 1 && word == "--")
                var token = Token(
                    kind: .word, text: word, quoting: isBare ? .bare : .raw, line: line, column: column,
                    length: max(length, 1), start: 0, end: 0)
                if (1...max(1, options)).contains(index), options > 0 {
                    token.keyBytes = word.utf8.prefix { $0 != UInt8(ascii: "=") }.count
                }
                return token
            }
            return Statement(source: source, words: tokens, block: block)
        }
        var statements = listen.enumerated().map { statement(["listen", $1], line: $0 + 1) }
        let route = statement(verb, line: listen.count + 1, options: options)
        statements.append(statement(["site"] + hosts, line: listen.count + 1, block: [route]))
        let load = Load(session, FileDecoder(statements, from: source, session: session))
        return load.result()
    }

    static func unreadable(_ name: String, _ failure: FileFailure) -> Diagnostic {
        Diagnostic(.error, at: .whole(name), "this file \(failure.reason)")
    }
}
