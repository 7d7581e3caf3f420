internal import ChimeraAdministration
internal import ChimeraBytes

/// How a program that has several clients is told whose message it reads.
///
/// ```
///  prefix   3 hello                                       each line of a message
///  json     {"client":3,"type":"open","request":{…}}      a client has come
///           {"client":3,"type":"message","data":"hello"}  or "base64" in the place of "data"
///           {"client":3,"type":"close"}                   and gone
///  off      hello
/// ```
package struct ClientTag: Sendable {
    package enum Manner: Sendable, Equatable { case off, prefix, json }

    let manner: Manner
    /// Unique as long as the program runs.
    let client: Int

    package init(_ manner: Manner, client: Int) {
        self.manner = manner
        self.client = client
    }

    /// Appends a whole message.
    func append(_ message: Span<UInt8>, to output: ByteBuffer) {
        switch manner {
        case .off:
            output.append(message)
            output.append(UInt8(ascii: "\n"))
        case .prefix: appendLines(message, to: output)
        case .json:
            let bytes = Array(copying: message)
            if let text = String(validating: bytes, as: UTF8.self) {
                appendObject("message", [("data", .string(text))], to: output)
            } else {
                let text = String(decoding: Base64.encode(bytes.span), as: UTF8.self)
                appendObject("message", [("base64", .string(text))], to: output)
            }
        }
    }

    /// Each of them: a client cannot speak for another one.
    private func appendLines(_ message: Span<UInt8>, to output: ByteBuffer) {
        var start = 0
        while true {
            let end = message.firstIndex(of: UInt8(ascii: "\n"), from: start) ?? message.count
            output.append(string: "\(client) ")
            output.append(message.extracting(start..<end))
            output.append(UInt8(ascii: "\n"))
            guard end < message.count else { return }
            start = end + 1
        }
    }

    private func appendObject(_ type: String, _ members: [(String, JSON)], to output: ByteBuffer) {
        output.append(string: object(type, members))
    }

    private func object(_ type: String, _ members: [(String, JSON)]) -> String {
        let all = [("client", JSON.integer(Int64(client))), ("type", .string(type))] + members
        return JSON.object(all.map { JSON.Member(name: $0.0, value: $0.1) }).text + "\n"
    }

    /// What the program reads when the client has come; empty where it is not told.
    ///
    /// - Parameter request: `NAME=VALUE`, as a program of its own would have had them.
    func opening(_ request: [String]) -> [UInt8] {
        guard manner == .json else { return [] }
        return Array(object("open", [("request", RequestFacts.object(request))]).utf8)
    }

    /// What it reads when the client has gone.
    var closing: [UInt8] { manner == .json ? Array(object("close", []).utf8) : [] }
}

/// What a request would be in a program's environment, for one that was started before it.
package enum RequestFacts {
    static func object(_ variables: [String]) -> JSON {
        .object(
            variables.compactMap { variable in
                guard let sign = variable.firstIndex(of: "=") else { return nil }
                return JSON.Member(
                    name: String(variable[..<sign]), value: .string(String(variable[sign...].dropFirst())))
            })
    }

    /// The first that a program reads: an object in a line, or behind its length.
    package static func message(_ variables: [String], _ framing: Framing) -> [UInt8] {
        let text = Array(object(variables).text.utf8)
        guard framing == .length || framing == .typed else { return text + [UInt8(ascii: "\n")] }
        let kind = framing == .typed ? [UInt8(ascii: "t")] : []
        return kind + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: text.count >> $0) } + text
    }
}
