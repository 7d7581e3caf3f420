internal import ArgumentParser
internal import CLinux
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc

/// `--config FILE`, `--admin unix:PATH` and `--json`, of the commands that talk to a gateway that runs.
struct AdminOption: ParsableArguments {
    @OptionGroup var file: ConfigurationOption
    @Option(
        help: "The administration's socket, unix:PATH, instead of the one that the machine's file leads to.")
    var admin: String?
    @Flag(help: "Print the answer as it comes: JSON, one object a line.")
    var json = false

    func validate() throws {
        if let admin, !admin.hasPrefix("unix:") || admin.count == 5 {
            throw ValidationError("--admin takes unix:PATH")
        }
    }

    /// The places to look for the socket.
    private func places() throws(ExitCode) -> [String] {
        if let admin { return [String(admin.dropFirst(5))] }
        let path = try file.path()
        if let named = ConfigurationLoader().load(machineFileAlone: path).configuration?.adminSocket {
            return [named]
        }
        return AdminSocket.places(machineFile: path)
    }

    /// Asks the gateway and gives each line of its answer, as it comes; with `--json` they are printed instead.
    ///
    /// - Parameter quiet: how long the gateway may say nothing, in milliseconds; nil for as long as it takes.
    /// - Returns: the lines.
    /// - Throws: the exit code, having said why; also where the answer is an error.
    func ask(_ request: JSON, quiet: Int32? = 15_000) throws(ExitCode) -> [JSON] {
        let connection = try connect()
        defer { close(connection) }
        let bytes = Array((request.text + "\n").utf8)
        guard send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw refuse("the gateway does not take the request")
        }
        let lines = try answer(connection, quiet)
        if let last = lines.last, let reason = last["error"]?.string {
            for text in last["diagnostics"]?.array ?? last["lines"]?.array ?? [] {
                Stream.error.write((text.string ?? "") + "\n")
            }
            throw refuse(reason)
        }
        guard lines.last?["done"] == .bool(true) else { throw refuse("the gateway broke off its answer") }
        return lines
    }

    private func connect() throws(ExitCode) -> Int32 {
        let places = try places()
        for place in places {
            do throws(SystemError) {
                return try Sockets.connect(.unix(path: place)).descriptor
            } catch {
                if error.number == EACCES { throw refuse("\(place) belongs to another user") }
            }
        }
        throw refuse("no gateway answers at \(places.joined(separator: " or "))")
    }

    private func answer(_ connection: Int32, _ quiet: Int32?) throws(ExitCode) -> [JSON] {
        var lines: [JSON] = []
        var rest: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 65_536)
        while true {
            var ready = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
            let result = poll(&ready, 1, quiet ?? -1)
            if result < 0 && errno == EINTR { continue }
            guard result == 1 else { throw refuse("the gateway does not answer") }
            let count = read(connection, &room, room.count)
            if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
            guard count > 0 else { return lines }
            rest += room[..<count]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(rest[..<end])
                rest.removeSubrange(...end)
                guard let value = JSON(line) else { throw refuse("the gateway's answer makes no sense") }
                if json { Stream.output.write(value.text + "\n") }
                lines.append(value)
            }
        }
    }

    private func refuse(_ reason: String) -> ExitCode {
        Stream.error.write(reason + "\n")
        return CommandStatus.cannotServe.exitCode
    }
}
