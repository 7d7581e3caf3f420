/// A line that an operator's command sends: `{"command":"status"}`. One line is one connection's request; lines of
/// answers come back, and the last of them says how it went.
package struct AdminRequest: Equatable, Sendable {
    /// What the supervisor does itself; whatever else there is, the data plane knows or refuses.
    package enum Command: Equatable, Sendable {
        case status
        case upgrade
        case stop(atOnce: Bool)
        /// For a data plane: that which serves, or one by its generation.
        case dataPlane(generation: Int?)
    }

    /// Why a line is no request; the text is for the operator.
    package struct Malformed: Error, Equatable {
        package let reason: String
    }

    package var command: Command
    package var name: String
    package var body: JSON

    /// The most bytes of a line.
    package static let bytesMax = 32 * 1024

    /// Reads a line, without its end.
    package static func parse(_ line: [UInt8]) -> Result<AdminRequest, Malformed> {
        guard line.count <= bytesMax else { return .failure(Malformed(reason: "the request is too long")) }
        guard let body = JSON(line), case .object = body else {
            return .failure(Malformed(reason: "the request is no JSON object"))
        }
        guard let name = body["command"]?.string else {
            return .failure(Malformed(reason: "the request has no \"command\""))
        }
        let command: Command
        switch name {
        case "status": command = .status
        case "upgrade": command = .upgrade
        case "stop": command = .stop(atOnce: body["now"]?.bool ?? false)
        default: command = .dataPlane(generation: body["generation"]?.integer.flatMap { Int(exactly: $0) })
        }
        return .success(AdminRequest(command: command, name: name, body: body))
    }

    /// The last line of an answer that went well.
    package static func done(_ members: JSON = .object([])) -> JSON {
        guard case .object(let all) = members else { return members }
        return .object([JSON.Member(name: "done", value: .bool(true))] + all)
    }

    /// The last line of an answer that did not.
    package static func failed(_ reason: String) -> JSON { .of(["error": .string(reason)]) }
}
