internal import Glibc

/// A moment of the wall clock. Seconds and nanoseconds stay apart, since a file may claim any second of 64
/// bits.
struct FileTime: Sendable, Equatable, Comparable {
    var seconds: Int64
    var nanoseconds: Int64

    static func < (left: FileTime, right: FileTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    static func now() -> FileTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return FileTime(time)
    }

    init(_ time: timespec) {
        seconds = Int64(time.tv_sec)
        nanoseconds = Int64(time.tv_nsec)
    }

    init(seconds: Int64, nanoseconds: Int64 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Whether the two are less than so many milliseconds apart, at most a thousand hours.
    func isWithin(_ milliseconds: Int64, of other: FileTime) -> Bool {
        let (apart, overflow) = seconds.subtractingReportingOverflow(other.seconds)
        guard !overflow, apart.magnitude < 3_600_000 else { return false }
        return abs(apart * 1_000_000_000 + nanoseconds - other.nanoseconds) < milliseconds * 1_000_000
    }
}

/// What tells one state of a file from another without reading it.
struct FileStamp: Sendable, Equatable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    /// When the content was last written, or what somebody set.
    var modified: FileTime
    /// When the inode was last changed, which nobody can set.
    var changed: FileTime

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = FileTime(status.st_mtim)
        changed = FileTime(status.st_ctim)
    }

    /// Whether another write now could leave size and times as they are.
    ///
    /// A file system's clock ticks: every 10 ms at worst where times have fractions, and every one or two
    /// seconds where they have none. A file that was written in the current tick is young. An explicitly set
    /// time in the past or the future is no sign of that.
    func isYoung(at now: FileTime) -> Bool {
        modified.isWithin(modified.nanoseconds == 0 ? 2000 : 50, of: now)
    }

    /// Whether this file, made from `original` by a compressor, is not older than that.
    ///
    /// Tools that copy a file's time lose its fraction, wholly or in the seventh decimal.
    func isCurrent(for original: FileStamp) -> Bool {
        if modified >= original.modified { return true }
        guard modified.seconds == original.modified.seconds else { return false }
        return modified.nanoseconds == 0 || original.modified.nanoseconds - modified.nanoseconds <= 1000
    }

    /// Times this early are not when anything was written: packers of reproducible images set them on all
    /// files.
    private var hasModificationTime: Bool { modified.seconds > 1 }

    /// For `Last-Modified`, in seconds since 1970. RFC 9110 §8.8.2.1: never later than the message.
    func lastModified(at now: FileTime) -> Int64? {
        hasModificationTime && modified.seconds <= now.seconds ? modified.seconds : nil
    }

    /// The entity tag of the file's content, quotes and all (RFC 9110 §8.8.3).
    ///
    /// It is made of time and size and nothing that differs between machines that serve copies. Only where
    /// the time says nothing does the inode's change stand in for it. The tag of a young file is weak, since
    /// two contents may share it, and has an opaque part of its own, so that it never matches the tag that
    /// the file gets when it has settled: a copy fetched too early lasts until the next look.
    ///
    /// - Parameter suffix: sets the variants of one file apart.
    func entityTag(suffix: StaticString, isYoung: Bool) -> [UInt8] {
        let time = hasModificationTime ? modified : changed
        let parts = [time.seconds, time.nanoseconds, size].map { String(UInt64(bitPattern: $0), radix: 16) }
        let kind = hasModificationTime ? "" : "c"
        let opaque = kind + parts.joined(separator: "-") + "\(suffix)"
        return Array((isYoung ? "W/\"\(opaque)-young\"" : "\"\(opaque)\"").utf8)
    }
}
