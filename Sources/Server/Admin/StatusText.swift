internal import ChimeraAdministration

/// What the gateway's answers look like to people.
enum StatusText {
    /// `chimera status`
    static func of(_ answer: JSON) -> String {
        var lines: [String] = []
        let supervisor = answer["supervisor"] ?? .null
        let planes = supervisor["data_planes"]?.array ?? []
        var head =
            "chimera \(text(supervisor["version"])), up \(duration(supervisor["uptime_ms"])), pid \(text(supervisor["pid"]))"
        if supervisor["stopping"] == .bool(true) { head += ", stopping" }
        lines.append(head)
        for plane in planes {
            lines.append(
                "data plane \(text(plane["generation"])): \(text(plane["state"])), up \(duration(plane["uptime_ms"])), "
                    + "pid \(text(plane["pid"])), version \(text(plane["version"]))")
        }
        if planes.isEmpty { lines.append("no data plane") }
        if let time = supervisor["restart_in_ms"] { lines.append("the next one starts in \(duration(time))") }
        if supervisor["upgrade_waits"] == .bool(true) { lines.append("an upgrade waits") }
        lines += death(supervisor)
        if let plane = answer["data_plane"] { lines += self.plane(plane) }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func death(_ supervisor: JSON) -> [String] {
        guard let death = supervisor["last_death"] else { return [] }
        let head =
            "\(text(supervisor["restarts"])) restarts; data plane \(text(death["generation"])) ended "
            + "\(duration(death["ago_ms"])) ago: \(text(death["how"]))"
        return [head] + (death["lines"]?.array ?? []).map { "    " + text($0) }
    }

    private static func plane(_ plane: JSON) -> [String] {
        let workers = plane["workers"]?.array ?? []
        let each = workers.map { text($0["connections"]) }.joined(separator: " + ")
        var lines = [
            "listening on " + (plane["listening"]?.array ?? []).map(text).joined(separator: ", "),
            "\(workers.count) workers, \(text(plane["connections"])) connections"
                + (workers.count > 1 ? " (\(each))" : ""),
            "\(text(plane["sites"])) sites, \(text(plane["requests"])) requests",
        ]
        if let reload = plane["last_reload"], reload["outcome"]?.string == "failed" {
            lines.append("the last reload failed, and the configuration before it serves")
            lines += (reload["why"]?.array ?? []).map { "    " + text($0) }
        }
        return lines + tenants(plane) + files(plane)
    }

    /// Files that are nobody's, and what is wrong with the last good versions that are kept.
    private static func files(_ plane: JSON) -> [String] {
        let refused = (plane["refused_files"]?.array ?? []).map { "a file is not served\n    " + text($0) }
        return refused + (plane["store"]?.array ?? []).map(text)
    }

    /// The tenants that do not serve what their files say, and why.
    static func tenants(_ answer: JSON) -> [String] {
        var lines: [String] = []
        for tenant in answer["outdated_tenants"]?.array ?? [] {
            let what = tenant["served_since"] == nil ? "is not served" : "serves an older version of its file"
            lines.append("tenant \(text(tenant["tenant"])) \(what)")
            lines += (tenant["why"]?.array ?? []).map { "    " + text($0) }
        }
        return lines
    }

    /// `chimera connections`: a line for each, and how many there are.
    static func connections(_ answer: [JSON]) -> String {
        var lines = answer.dropLast().flatMap { connection in
            let line =
                "\(text(connection["id"]))  \(text(connection["peer"]))  to \(text(connection["listener"]))  "
                + "\(text(connection["protocol"]))  \(duration(connection["age_ms"]))  "
                + "\(text(connection["state"]))"
            guard let count = connection["stream_count"]?.integer else { return [line + request(connection)] }
            let streams = (connection["streams"]?.array ?? []).map { stream in
                "    stream \(text(stream["id"]))  \(text(stream["state"]))" + request(stream)
            }
            return [line + (count == 1 ? "  1 stream" : "  \(count) streams")] + streams
        }
        let total = answer.last?["total"]?.integer ?? 0
        lines.append(total == 1 ? "1 connection" : "\(total) connections")
        return lines.map { $0 + "\n" }.joined()
    }

    /// `chimera sessions`: a line for each, and how many there are.
    static func sessions(_ answer: [JSON]) -> String {
        var lines = answer.dropLast().map { session in
            "\(text(session["id"]))  \(text(session["site"])) \(text(session["route"]))  "
                + "process \(text(session["process"]))  \(text(session["client"]))  "
                + "\(duration(session["age_ms"]))  \(text(session["octets_in"])) in  "
                + "\(text(session["octets_out"])) out  \(text(session["ownership"]))  \(text(session["program"]))"
        }
        let total = answer.last?["total"]?.integer ?? 0
        lines.append(total == 1 ? "1 session" : "\(total) sessions")
        return lines.map { $0 + "\n" }.joined()
    }

    private static func request(_ served: JSON) -> String {
        guard let request = served["request"] else { return "" }
        return "  \(text(request))  \(duration(served["request_ms"]))"
    }

    /// Text without anything that would drive a terminal.
    private static func text(_ value: JSON?) -> String {
        switch value {
        case .string(let text):
            String(
                String.UnicodeScalarView(
                    text.unicodeScalars.map {
                        $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "\u{FFFD}" : $0
                    }))
        case .some(let value): value.text
        case nil: "?"
        }
    }

    /// `850ms`, `12s`, `3m 5s`, `2h 7m`, `4d 3h`
    static func duration(_ value: JSON?) -> String {
        guard let milliseconds = value?.integer else { return "?" }
        let seconds = milliseconds / 1000
        switch seconds {
        case ..<1: return "\(milliseconds)ms"
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d \(seconds / 3600 % 24)h"
        }
    }
}
