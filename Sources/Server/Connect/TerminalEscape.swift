/// What is typed at a terminal, and `~.` in it: at the beginning of a line, as ssh has it.
struct TerminalEscape {
    private enum Place { case lineStart, behindTilde, within }

    private var place = Place.lineStart

    /// - Returns: what is for the program, and whether whoever types wants to leave.
    mutating func take(_ bytes: [UInt8]) -> (keys: [UInt8], leaves: Bool) {
        var keys: [UInt8] = []
        for byte in bytes {
            switch (place, byte) {
            case (.lineStart, UInt8(ascii: "~")):
                place = .behindTilde
                continue
            case (.behindTilde, UInt8(ascii: ".")): return (keys, true)
            // The second one of two stands for both.
            case (.behindTilde, UInt8(ascii: "~")): break
            case (.behindTilde, _): keys.append(UInt8(ascii: "~"))
            default: break
            }
            keys.append(byte)
            place = byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") ? .lineStart : .within
        }
        return (keys, false)
    }
}
