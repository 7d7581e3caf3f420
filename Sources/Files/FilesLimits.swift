/// Every bound on what one worker keeps of files and how old that may be.
package struct FilesLimits: Sendable, Equatable {
    /// Paths with something behind them: files, with their variants, and directories without their slash.
    package var entriesMax = 1024
    /// Paths with nothing behind them. They have a list of their own, so that guessing paths drives out no
    /// files.
    package var missingMax = 256
    /// Descriptors kept open.
    package var descriptorsMax = 512
    /// Bytes of small files kept in memory.
    package var blobBytesTotalMax = 64 << 20
    /// The greatest file that is kept in memory, in bytes. Head and body of such an answer go in one write:
    /// 16 KiB is what the kernel gives every new socket to buffer (tcp_wmem), so that write is not cut short;
    /// and to copy so much costs less than the system call that `sendfile` would be beside the head.
    package var blobBytesMax = 16 << 10
    /// First looks at paths under way at once; past that a request gets 503. Second looks are not counted:
    /// there are no more of them than entries, and no flood of unknown paths may push out what is known.
    package var loadsMax = 1024
    /// For how long an entry is used without a second look at the file, in milliseconds.
    package var freshMilliseconds: Int64 = 1000
    /// For how long an entry is used while that second look is taken, in milliseconds since the last one. No
    /// answer is older than this.
    package var usableMilliseconds: Int64 = 2000

    package init() {}
}
