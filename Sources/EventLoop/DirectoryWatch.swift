internal import CLinux
internal import Glibc
internal import Synchronization

/// Tells when names in some directories come, go or have been written, and when a directory itself goes elsewhere, for
/// one thread that may block.
///
/// The kernel watches directories and not paths: several paths of one directory share a watch, which goes with the last
/// of them, and a directory that takes the place of another under its path is watched from the next `watch` on.
package final class DirectoryWatch: Sendable {
    /// Something that was changed.
    package struct Change: Hashable, Sendable {
        /// As it was given to `watch`; empty where the kernel lost count, so that anything may have changed.
        package var directory: String
        /// In that directory; empty where it is the directory itself, which is another one now, or gone.
        package var name: String

        package init(directory: String, name: String) {
            self.directory = directory
            self.name = name
        }
    }

    /// What came of a call of `watch`.
    package struct Outcome: Sendable {
        /// Directories that cannot be watched for names though they are there, in order.
        package var refused: [String] = []
        /// Something is watched that was not before, or is not there: who has looked at it earlier may have missed a
        /// change.
        package var hasNew = false
    }

    private struct Watched: Equatable {
        var paths: Set<String> = []
        var mask: UInt32 = 0
    }

    private let inotify: Int32
    private let wake: Int32
    private let watched = Mutex<[Int32: Watched]>([:])

    /// The directory itself: it, or the file system that it is on, goes.
    private static let ownMask = UInt32(IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR)
    private static let namesMask =
        ownMask
        | UInt32(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)
    /// Of an event that tells of the directory itself. After IN_IGNORED the kernel watches it no longer.
    private static let ownEvents = UInt32(IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT)

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

    /// Readable where `wait` has something to tell; for who waits for other descriptors as well.
    package var descriptor: Int32 { inotify }

    deinit {
        close(inotify)
        close(wake)
    }

    /// Watches these directories from now on, and no others. One that is not there is looked for the next time.
    ///
    /// - Parameters:
    ///   - directories: for names in them, and for themselves.
    ///   - places: for themselves alone, as directories above others are; one that cannot be watched is left out.
    package func watch(_ directories: Set<String>, places: Set<String> = []) -> Outcome {
        var outcome = Outcome()
        var kept: [Int32: Watched] = [:]
        let pace = Pace()
        // Those with names come last: the kernel takes the last word on a directory.
        for place in places where !directories.contains(place) {
            pace.step()
            if !add(place, Self.ownMask, &kept), errno == ENOENT { outcome.hasNew = true }
        }
        for directory in directories {
            pace.step()
            if add(directory, Self.namesMask, &kept) { continue }
            // What it was watched by tells nothing any more: its end may be among what is dropped with that.
            if errno == ENOENT || errno == ENOTDIR {
                outcome.hasNew = true
            } else {
                outcome.refused.append(directory)
            }
        }
        watched.withLock { watched in
            for (id, now) in kept {
                let before = watched[id]
                if before?.mask != now.mask || before?.paths.isSuperset(of: now.paths) != true {
                    outcome.hasNew = true
                }
            }
            for id in watched.keys where kept[id] == nil { inotify_rm_watch(inotify, id) }
            watched = kept
        }
        outcome.refused.sort()
        return outcome
    }

    /// - Returns: false, with `errno`, where it cannot be watched.
    private func add(_ path: String, _ mask: UInt32, _ kept: inout [Int32: Watched]) -> Bool {
        let id = inotify_add_watch(inotify, path, mask)
        guard id >= 0 else { return false }
        kept[id, default: Watched()].paths.insert(path)
        kept[id]?.mask |= mask
        return true
    }

    /// Waits for a change or for `interrupt`, for at most so many milliseconds; nil for no bound.
    ///
    /// - Returns: what changed, or a part of it: the next call gives the rest at once. Empty when it was interrupted or
    ///   the time is over.
    package func wait(milliseconds: Int64?) -> Set<Change> {
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

    /// Where changes come without end, each call ends all the same.
    private static let readsMax = 4

    private func changes() -> Set<Change> {
        let watched = watched.withLock { $0 }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 8)
        defer { room.deallocate() }
        var found: Set<Change> = []
        for _ in 0..<Self.readsMax {
            let count = read(inotify, room.baseAddress, room.count)
            guard count > 0 else { return found }
            var start = 0
            let header = MemoryLayout<inotify_event>.size
            while start + header <= count {
                let event = room.loadUnaligned(fromByteOffset: start, as: inotify_event.self)
                let bytes = room[(start + header)..<(start + header + Int(event.len))].prefix { $0 != 0 }
                start += header + Int(event.len)
                if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
                    found.insert(Change(directory: "", name: ""))
                    continue
                }
                let isOwn = event.mask & Self.ownEvents != 0
                let name = isOwn ? "" : String(decoding: bytes, as: UTF8.self)
                for path in watched[event.wd]?.paths ?? [] {
                    found.insert(Change(directory: path, name: name))
                }
            }
        }
        return found
    }
}
