internal import ChimeraConfiguration

extension SessionTarget {
    /// What `explain` says of a session, line by line.
    var explained: [String] {
        var lines = ["program: \(program)", "directory: \(directory)", "each client: \(ownership)"]
        var ways = [hasTerminal ? "a terminal" : "pipes", "framing=\(framing.rawValue)"]
        if !hasTerminal { ways.append("stderr=\(errorOutput.rawValue)") }
        ways.append("message=\(messageBytesMax) bytes")
        if answersHTTP { ways.append("http=on") }
        lines.append("joined by: " + ways.joined(separator: ", "))
        let times = [("ping", ping), ("pong", pong), ("idle", idle), ("life", life)]
        lines.append("times: " + times.map { "\($0)=\(Self.text($1))" }.joined(separator: " "))
        lines.append("its end: end=\(terminateMilliseconds)ms, kill=\(killMilliseconds)ms")
        let hosts = origins.map(\.description).joined(separator: " ")
        lines.append("pages: of this site\(hosts.isEmpty ? "" : " and \(hosts)")")
        if !bounds.isEmpty { lines.append("bounds: " + bounds.joined(separator: ", ")) }
        if !environment.isEmpty {
            // A value may be a secret.
            let names = environment.map { String($0.prefix { $0 != "=" }) }
            lines.append("env: " + names.joined(separator: " "))
        }
        if mayBeRoot { lines.append("may run as root") }
        return lines
    }

    private var ownership: String {
        if let sharing { return "the one program of all, tag=\(sharing.tag.rawValue) replay=\(replayBytes)" }
        var text = poolCount > 0 ? "a program of its own, of a pool of \(poolCount)" : "a program of its own"
        if let resumeMilliseconds {
            text += ", kept for \(resumeMilliseconds)ms with \(replayBytes) bytes of output"
        }
        return text
    }

    private var bounds: [String] {
        var bounds: [String] = []
        if let memory = resources.memory { bounds.append("memory \(memory) bytes") }
        if let processes = resources.processes { bounds.append("\(processes) processes") }
        if let percent = resources.cpuPercent { bounds.append("cpu \(percent)%") }
        if let seconds = resources.cpuSeconds { bounds.append("cpu-time \(seconds)s") }
        if let files = resources.files { bounds.append("\(files) files") }
        return bounds
    }

    private static func text(_ limit: TimeLimit) -> String {
        if case .milliseconds(let time) = limit { "\(time)ms" } else { "none" }
    }
}
