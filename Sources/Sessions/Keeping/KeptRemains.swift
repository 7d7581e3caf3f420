/// What one process tells the next of a program: what was kept of its output, and what it has not read of its input.
///
/// ```
///  eight octets 255, one that is 1 where the input ends, how many octets of it (8), those, and then the log
/// ```
/// Where there is no input the log stands alone.
package struct KeptRemains: Sendable {
    package var log: OutputLog
    package var input: [UInt8] = []
    /// The input ends behind that.
    package var endsInput = false

    /// No position is like this, with which a log begins.
    private static let sign = [UInt8](repeating: 255, count: 8)

    package init(_ log: OutputLog) { self.log = log }

    package var encoded: [UInt8] {
        if input.isEmpty && !endsInput { return log.encoded }
        return Self.sign + [endsInput ? 1 : 0] + OutputLog.octets(Int64(input.count)) + input + log.encoded
    }

    /// Nil for what is none, or whose log is larger than `capacity`.
    package init?(_ bytes: [UInt8], capacity: Int) {
        guard bytes.starts(with: Self.sign) else {
            guard let log = OutputLog(bytes, capacity: capacity) else { return nil }
            self.init(log)
            return
        }
        let head = Self.sign.count + 1
        guard bytes.count >= head + 8 else { return nil }
        let count = OutputLog.number(bytes, head)
        guard (0...Int64(bytes.count - head - 8)).contains(count) else { return nil }
        let behind = head + 8 + Int(count)
        guard let log = OutputLog(Array(bytes[behind...]), capacity: capacity) else { return nil }
        self.init(log)
        input = Array(bytes[(head + 8)..<behind])
        endsInput = bytes[head - 1] == 1
    }
}
