internal import ArgumentParser
internal import ChimeraSessions
internal import ChimeraTLS
internal import Glibc

/// `chimera connect URL`: joins this terminal to a WebSocket.
struct ConnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect", abstract: "Join this terminal to a session, or to any WebSocket.",
        discussion: """
            To a session of a gateway, standard input, output and error are those of the program, a terminal is a terminal, \
            and the exit status is the program's, 128 and more for a signal. To any other WebSocket each line is a message \
            and each message a line.

            To a terminal every key goes to the program, Ctrl-C too. At the beginning of a line, `~.` closes the connection, \
            and `~~` types a `~`.
            """)

    @Argument(help: "ws://HOST[:PORT][/PATH], or wss:// with TLS")
    var url: String
    @Flag(help: "Speak plain messages to a session as well.")
    var plain = false
    @Option(help: "Who asks, NAME or NAME:PASSWORD; it stands as ws://NAME:PASSWORD@HOST as well.")
    var user: String?
    @Option(help: "A field of the request, as \"Name: value\"; may be repeated.")
    var header: [String] = []
    @Option(help: "Trust the authorities of this file, and not the system's.", completion: .file())
    var ca: String?
    @Flag(help: "Connect to whoever answers: the certificate is not looked at.")
    var insecure = false

    func validate() throws {
        if ca != nil && insecure { throw ValidationError("--insecure looks at no authority of --ca.") }
        for field in header where !HandshakeFields.isField(field) {
            throw ValidationError("\"\(field)\" is no field such as \"Cookie: a=b\"")
        }
        if let user, user.hasPrefix(":") || user.isEmpty {
            throw ValidationError("--user is NAME or NAME:PASSWORD")
        }
    }

    func run() throws {
        let status: Int32
        do {
            let address = try WebSocketAddress(url)
            if insecure && address.isSecure {
                Stream.error.write("--insecure: nobody has proved to be \(address.host)\n")
            }
            let fields = header + (try authorization(address))
            do throws(ClientHandshake.Failure) {
                status = JoinedTerminal(try open(address, fields)).run()
            } catch {
                guard error.wantsUser else { throw error }
                let advice =
                    fields.count > header.count
                    ? "the name or the password is not one that may"
                    : "say who you are with --user NAME[:PASSWORD]"
                throw ClientHandshake.Failure(reason: "\(error.reason): \(advice)")
            }
        } catch let malformed as WebSocketAddress.Malformed {
            Stream.error.write("\(malformed.reason)\n")
            throw CommandStatus.usage.exitCode
        } catch let failure as ClientHandshake.Failure {
            Stream.error.write("\(failure.reason)\n")
            throw CommandStatus.cannotServe.exitCode
        }
        // Any that a program may have, and not only those of this one's commands.
        if status != 0 { Glibc.exit(status) }
    }

    private func open(
        _ address: WebSocketAddress, _ fields: [String]
    ) throws(ClientHandshake.Failure) -> ClientHandshake.Opened {
        do throws(ClientHandshake.Failure) {
            return try ClientHandshake.open(
                address, subprotocol: plain ? nil : TaggedStreams.subprotocol, fields: fields, trust: trust)
        } catch {
            // Some refuse who offers nothing that they speak, where RFC 6455 §4.2.2 has them name none.
            guard error.isRefusal, !plain else { throw error }
            return try ClientHandshake.open(address, subprotocol: nil, fields: fields, trust: trust)
        }
    }

    /// Who asks, as the option or else the URL says; none where neither does.
    private func authorization(_ address: WebSocketAddress) throws(ClientHandshake.Failure) -> [String] {
        guard let said = user ?? address.user else { return [] }
        if said.utf8.contains(UInt8(ascii: ":")) { return [HandshakeFields.authorization(said)] }
        guard let typed = getpass("Password of \(said): ") else {
            throw ClientHandshake.Failure(reason: "there is no terminal to type the password of \(said) at")
        }
        return [HandshakeFields.authorization("\(said):\(String(cString: typed))")]
    }

    private var trust: TLSClient.Trust { insecure ? .anybody : ca.map { .file($0) } ?? .system }
}
