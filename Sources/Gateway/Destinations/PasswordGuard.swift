internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// A password file as one worker asks it: verified credentials are remembered, others are verified off the worker.
final class PasswordGuard {
    let file: PasswordFile?
    private unowned(unsafe) let host: GatewayWorker

    init(_ file: ReferencedFile, host: GatewayWorker) {
        self.host = host
        // The configuration was checked when it was loaded; a file that has errors lets nobody in.
        self.file = try? PasswordFile(file.content.span)
    }

    /// What is known without hashing: whether the password is the user's; nil where that has to be verified off the
    /// worker.
    func cachedVerdict(user: Span<UInt8>, password: Span<UInt8>) -> Bool? {
        guard let file else { return false }
        let credentials = BasicCredentials(
            user: Array(copying: user), password: Array(copying: password))
        guard let hash = file.hash(of: credentials.user[...]),
            let key = host.verified.key(credentials, hash)
        else { return nil }
        return host.verified.contains(key, now: UInt64(host.worker.nanoseconds)) ? true : nil
    }

    /// Verifies on the pool and remembers what is right.
    ///
    /// - Returns: nil where the pool has no room.
    func verify(user: [UInt8], password: [UInt8]) async -> Bool? {
        guard let file else { return false }
        let credentials = BasicCredentials(user: user, password: password)
        guard let isValid = await host.pool.run({ file.verify(credentials) }) else { return nil }
        if isValid, let hash = file.hash(of: user[...]), let key = host.verified.key(credentials, hash) {
            host.verified.insert(key, now: UInt64(host.worker.nanoseconds))
        }
        return isValid
    }
}
