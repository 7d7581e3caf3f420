internal import Glibc

/// The list of programs that run, in a file, so that whoever comes after a supervisor that was killed finds what it left.
///
/// ```
///  chimera-programs 1 BOOT INSTANCE
///  + 4711 1234567 INSTANCE.1      a program: its process, when that started, its id
///  - INSTANCE.1                   has ended, with all that it had started
/// ```
/// Of whom nobody knows any more is found by the instance as well, which is in the environment of each.
final class ProgramList {
    struct Entry: Equatable {
        var process: Int32
        var startedAt: UInt64
        var id: String
    }

    /// What a list says that somebody else has written.
    struct Content: Equatable {
        var boot: String
        var instance: String
        var entries: [Entry]
    }

    private let path: String
    private var descriptor: Int32
    private let header: String
    private var entries: [String: Entry] = [:]
    private var linesWritten = 0

    /// Lines past which the file is written anew, where most of them are of programs that have ended.
    private static let linesMax = 10_000

    /// Takes the file over; nil where it cannot be had, or somebody who lives has it.
    ///
    /// - Parameter before: what was in it.
    init?(path: String, instance: String, before: inout Content?) {
        self.path = path
        header = "chimera-programs 1 \(ProcessFile.bootID()) \(instance)\n"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return nil }
        // It is let go of when the process ends, however it does.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            descriptor = -1
            return nil
        }
        before = ProcessFile.text(path).flatMap { Self.parse($0) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The file is of no use any more.
    func discard() { if entries.isEmpty { unlink(path) } }

    /// Begins a list of one's own. What was there is forgotten.
    func begin() { writeAll() }

    func add(_ entry: Entry) {
        entries[entry.id] = entry
        write(line(entry))
    }

    func remove(_ id: String) {
        guard entries.removeValue(forKey: id) != nil else { return }
        if linesWritten > Self.linesMax, linesWritten > entries.count * 4 { return writeAll() }
        write("- \(id)\n")
    }

    private func line(_ entry: Entry) -> String { "+ \(entry.process) \(entry.startedAt) \(entry.id)\n" }

    private func write(_ text: String) {
        linesWritten += 1
        var copy = text
        // Where the disk is full the second net, the environment, is left.
        copy.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    private func writeAll() {
        ftruncate(descriptor, 0)
        lseek(descriptor, 0, SEEK_SET)
        write(header + entries.values.map(line).joined())
        linesWritten = entries.count
    }

    static func parse(_ text: String) -> Content? {
        // A line that was not written whole is none.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        guard let words = lines.first?.split(separator: " "), words.count == 4,
            words[0] == "chimera-programs",
            words[1] == "1"
        else { return nil }
        var entries: [String: Entry] = [:]
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == "-" { entries[String(words[1])] = nil }
            guard words.count == 4, words[0] == "+", let process = Int32(words[1]),
                let time = UInt64(words[2])
            else { continue }
            entries[String(words[3])] = Entry(process: process, startedAt: time, id: String(words[3]))
        }
        return Content(
            boot: String(words[2]), instance: String(words[3]),
            entries: entries.values.sorted { $0.process < $1.process })
    }
}
