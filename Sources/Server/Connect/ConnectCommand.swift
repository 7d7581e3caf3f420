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
            """)

    @Argument(help: "ws://HOST[:PORT][/PATH], or wss:// with TLS")
    var url: String
    @Flag(help: "Speak plain messages to a session as well.")
    var plain = false
    @Option(help: "Trust the authorities of this file, and not the system's.", completion: .file())
    var ca: String?
    @Flag(help: "Connect to whoever answers: the certificate is not looked at.")
    var insecure = false

    func validate() throws {
        if ca != nil && insecure { throw ValidationError("--insecure looks at no authority of --ca.") }
    }

    func run() throws {
        let status: Int32
        do {
            let address = try WebSocketAddress(url)
            if insecure && address.isSecure {
                Stream.error.write("--insecure: nobody has proved to be \(address.host)\n")
            }
            status = JoinedTerminal(try open(address)).run()
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

    private func open(_ address: WebSocketAddress) throws(ClientHandshake.Failure) -> ClientHandshake.Opened {
        do throws(ClientHandshake.Failure) {
            return try ClientHandshake.open(
                address, subprotocol: plain ? nil : TaggedStreams.subprotocol, trust: trust)
        } catch {
            // Some refuse who offers nothing that they speak, where RFC 6455 §4.2.2 has them name none.
            guard error.isRefusal, !plain else { throw error }
            return try ClientHandshake.open(address, subprotocol: nil, trust: trust)
        }
    }

    private var trust: TLSClient.Trust { insecure ? .anybody : ca.map { .file($0) } ?? .system }
}
