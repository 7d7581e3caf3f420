internal import Glibc

/// A name in a directory of the disk.
package struct DirectoryEntry: Sendable, Equatable {
    package var name: String
    /// Whether it is a link; nil where the file system does not tell.
    package var isLink: Bool?

    /// What is in a directory, but for `.` and `..`, in no order.
    ///
    /// - Throws: also where only a part of it could be read.
    package static func all(in directory: String) throws(FileFailure) -> [DirectoryEntry] {
        guard let stream = opendir(directory) else { throw failure(errno) }
        defer { closedir(stream) }
        var entries: [DirectoryEntry] = []
        while true {
            // The end and an error look the same but for this number.
            errno = 0
            guard let entry = readdir(stream) else {
                let number = errno
                guard number == 0 else { throw failure(number) }
                return entries
            }
            let name = text(of: entry)
            if name != ".", name != ".." {
                entries.append(DirectoryEntry(name: name, isLink: link(Int32(entry.pointee.d_type))))
            }
        }
    }

    /// Sound: the kernel ends the name with a nul, within the room of `d_name` or behind it, and the pointer is made of
    /// the whole entry's.
    private static func text(of entry: UnsafeMutablePointer<dirent>) -> String {
        guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return "." }
        let start = UnsafeRawPointer(entry).advanced(by: offset)
        return String(cString: start.assumingMemoryBound(to: CChar.self))
    }

    private static func link(_ type: Int32) -> Bool? {
        type == Int32(DT_UNKNOWN) ? nil : type == Int32(DT_LNK)
    }

    private static func failure(_ number: Int32) -> FileFailure {
        number == ENOENT || number == ENOTDIR ? .missing : .system(number)
    }
}
