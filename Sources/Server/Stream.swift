internal import Glibc

/// Standard output and standard error, unbuffered.
enum Stream: Int32 {
    case output = 1
    case error = 2

    /// Writes all of it, or as much as goes: there is nobody left to tell of a failure here.
    func write(_ text: String) {
        var copy = text
        copy.withUTF8 { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(rawValue, bytes.baseAddress.map { $0 + done }, bytes.count - done)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return }
                done += count
            }
        }
    }

    /// Reads standard input to its end; nil where that fails or is more than `limit` bytes.
    static func readInput(atMost limit: Int) -> [UInt8]? {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return all }
            all += chunk[..<count]
            guard all.count <= limit else { return nil }
        }
    }
}
