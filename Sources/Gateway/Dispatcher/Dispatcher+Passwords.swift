internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// A password file as one worker reads it.
final class PasswordGate {
    /// Nil where the file cannot be read, so that no password is right. Loading a configuration refuses such a
    /// file; one that was made otherwise may have it.
    let file: PasswordFile?

    init(_ file: ReferencedFile) {
        self.file = try? PasswordFile(file.content.span)
    }
}

extension Dispatcher {
    /// The driver tells what came of a question; then it dispatches the request again.
    func passwordAnswered(_ context: RequestContext, _ question: PasswordQuestion, isRight: Bool) {
        context.authentication = .answered(question, isRight: isRight)
        guard isRight, let hash = question.file.hash(of: question.credentials.user),
            let key = verified?.key(question.credentials, hash)
        else { return }
        verified?.insert(key, now: clock())
    }

    /// Asks for the password where it is not there or not known to be right; nil: it is.
    func checkPassword(
        _ settings: CompiledSettings, _ context: RequestContext, _ request: RequestHead,
        _ response: ResponseHead
    ) -> Verdict? {
        // Without a file there is nothing that a password could be compared with.
        guard let auth = settings.auth, let file = auth.gate.file else {
            return .answer(refuse(403, context, request, response))
        }
        guard let value = request[.authorization], let credentials = BasicCredentials(value) else {
            return .answer(challenge(auth, context, request, response))
        }
        switch answer(file, credentials, context) {
        case nil: return .authenticate(PasswordQuestion(file: file, credentials: credentials))
        case false?: return .answer(challenge(auth, context, request, response))
        case true?:
            context.user = context.store(credentials.user.span)
            return nil
        }
    }

    /// What is known without hashing; nil: nothing.
    private func answer(_ file: PasswordFile, _ credentials: BasicCredentials, _ context: RequestContext)
        -> Bool?
    {
        let hash = file.hash(of: credentials.user)
        if case .answered(let question, let isRight) = context.authentication,
            question.credentials == credentials,
            question.file.hash(of: credentials.user) == hash
        {
            return isRight
        }
        // A user who is not in the file costs as much as one who is.
        guard let hash, let key = verified?.key(credentials, hash) else { return nil }
        return verified?.contains(key, now: clock()) == true ? true : nil
    }
}
