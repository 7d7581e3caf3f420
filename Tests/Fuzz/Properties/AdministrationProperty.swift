@testable import ChimeraAdministration

/// A line of the admin socket.
///
/// - It is a request where it is an object with a command, within the bound, and else it is refused with a reason.
/// - A value is written as one line without control characters, which reads as the same value, however often.
/// - No value is deeper than the bound.
func administrationFailure(_ line: [UInt8]) -> String? {
    let value = JSON(line)
    if let value {
        let text = Array(value.text.utf8)
        if text.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return "\(value) is not one line" }
        if JSON(text) != value { return "\(value) is written as \(value.text)" }
        if depth(of: value) > JSON.depthMax + 1 { return "deeper than \(JSON.depthMax)" }
    }
    switch AdminRequest.parse(line) {
    case .success(let request):
        guard line.count <= AdminRequest.bytesMax, request.body == value, case .object = request.body,
            request.body["command"] == .string(request.name)
        else { return "taken as \(request)" }
    case .failure(let malformed):
        if malformed.reason.isEmpty { return "refused without a reason" }
        if line.count <= AdminRequest.bytesMax, value?["command"]?.string != nil {
            return "refused: \(malformed.reason)"
        }
    }
    return nil
}

private func depth(of value: JSON) -> Int {
    switch value {
    case .array(let elements): 1 + (elements.map(depth).max() ?? 0)
    case .object(let members): 1 + (members.map { depth(of: $0.value) }.max() ?? 0)
    default: 0
    }
}
