internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// What is to be done with a request.
enum Verdict {
    /// The response head is filled, header operations included; this is its body.
    case answer(AnswerBody)
    /// It is the turn of the route's target, `files`, `proxy`, `welcome` or a handler. The context has the
    /// settings and the path.
    case serve(CompiledRoute)
    /// Whether a password is right has to be found out off the worker. Tell `Dispatcher.passwordAnswered`,
    /// then dispatch again.
    case authenticate(PasswordQuestion)
}

/// Whether a user's password is right.
struct PasswordQuestion: Sendable {
    let file: PasswordFile
    let credentials: BasicCredentials

    /// Hashes the password, which takes up to a second: to be called off the worker.
    func answer() -> Bool { file.verify(credentials) }
}

/// Why a request finds no site or no path.
struct Rejection: Error {
    let status: Int
    let refusal: Refusal?

    /// 400 and the like.
    init(_ refusal: Refusal) {
        status = refusal.status
        self.refusal = refusal
    }

    init(status: Int) {
        self.status = status
        refusal = nil
    }
}
