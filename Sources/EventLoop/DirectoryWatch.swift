internal import CLinux
internal import Glibc
internal import Synchronization

/// Tells when names in some directories come, go or have been written, for one thread that may block.
package final class DirectoryWatch: Sendable {
    /// A name in a directory that was changed. Both are empty where the kernel lost count.
    package struct Change: Hashable, Sendable {
        package var directory: String
        package var name: String

        package init(directory: String, name: String) {
            self.directory = directory
            self.name = name
        }
    }

    private let inotify: Int32
    private let wake: Int32
    private let watched = Mutex<[Int32: String]>([:])

    /// - Throws: `SystemError` when the kernel gives no descriptor.
    package init() throws(SystemError) {
        inotify = try SystemError.check(
            inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)), "inotify_init1")
        let eventDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard eventDescriptor >= 0 else {
            let error = SystemError("eventfd", errno)
            close(inotify)
            throw error
        }
        wake = eventDescriptor
    }

    deinit {
        close(inotify)
        close(wake)
    }

    /// Watches these directories from now on, and no others. One that is not there is looked for the next time.
    ///
    /// - Returns: those that cannot be watched though they are there.
    package func watch(_ directories: Set<String>) -> [String] {
        let mask = UInt32(
            IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)
        var refused: [String] = []
        var kept: [Int32: String] = [:]
        for directory in directories {
            let id = inotify_add_watch(inotify, directory, mask)
            if id >= 0 {
                kept[id] = directory
            } else if errno != ENOENT && errno != ENOTDIR {
                refused.append(directory)
            }
        }
        watched.withLock { watched in
            for id in watched.keys where kept[id] == nil { inotify_rm_watch(inotify, id) }
            watched = kept
        }
        return refused.sorted()
    }

    /// Waits for a change or for `interrupt`, for at most so many milliseconds; nil for no bound.
    ///
    /// - Returns: what changed; empty when it was interrupted or the time is over.
    package func wait(milliseconds: Int64?) -> [Change] {
        var polled = [
            pollfd(fd: inotify, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&polled, 2, milliseconds.map { Int32(clamping: max(0, $0)) } ?? -1) > 0 else { return [] }
        if polled[1].revents != 0 {
            var count: UInt64 = 0
            _ = read(wake, &count, 8)
        }
        return polled[0].revents == 0 ? [] : changes()
    }

    /// Makes `wait` return; from any thread.
    package func interrupt() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    private func changes() -> [Change] {
        let directories = watched.withLock { $0 }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 8)
        defer { room.deallocate() }
        var found: [Change] = []
        while true {
            let count = read(inotify, room.baseAddress, room.count)
            guard count > 0 else { return found }
            var start = 0
            let header = MemoryLayout<inotify_event>.size
            while start + header <= count {
                let event = room.loadUnaligned(fromByteOffset: start, as: inotify_event.self)
                let bytes = room[(start + header)..<(start + header + Int(event.len))].prefix { $0 != 0 }
                start += header + Int(event.len)
                if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
                    found.append(Change(directory: "", name: ""))
                } else if let directory = directories[event.wd] {
                    found.append(Change(directory: directory, name: String(decoding: bytes, as: UTF8.self)))
                }
            }
        }
    }
}
