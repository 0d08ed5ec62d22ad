package org.kerasfastvit.demo.core

/**
 * The state after an event: pure, so that every way through the app is a list of events in a test.
 *
 * What is to be done follows from the state: the camera is to be open while
 * [ScreenState.wantsCamera], the model is to be loaded while it is [ModelState.Loading].
 */
public fun ScreenState.after(event: ScreenEvent): ScreenState =
    when (event) {
        // Whoever had the camera may have given it back meanwhile.
        ScreenEvent.Shown -> {
            copy(visible = true).withoutStuckCamera()
        }

        ScreenEvent.Hidden -> {
            copy(visible = false, torch = false)
        }

        is ScreenEvent.SettingsRead -> {
            copy(settings = event.settings.inRange())
        }

        is ScreenEvent.PermissionAnswered -> {
            copy(permission = event.permission)
        }

        is ScreenEvent.CameraChanged -> {
            withCamera(event)
        }

        ScreenEvent.FrameUnreadable -> {
            if (camera == CameraState.STREAMING) copy(frameUnreadable = true) else this
        }

        ScreenEvent.CameraRetried -> {
            withoutStuckCamera()
        }

        ScreenEvent.CameraSwitched -> {
            switched()
        }

        ScreenEvent.PauseToggled -> {
            copy(paused = !paused, torch = false)
        }

        ScreenEvent.TorchToggled -> {
            copy(torch = torchAvailable && !torch)
        }

        is ScreenEvent.PicturePicked -> {
            copy(source = Source.Picture(event.name), results = emptyList(), torch = false)
        }

        is ScreenEvent.PictureUnreadable -> {
            withUnreadablePicture(event.name)
        }

        ScreenEvent.CameraWanted -> {
            copy(source = Source.Camera, results = emptyList(), paused = false)
        }

        is ScreenEvent.ModelAsked -> {
            loading(event.name)
        }

        is ScreenEvent.ModelLoaded -> {
            withLoaded(event)
        }

        is ScreenEvent.ModelFailed -> {
            withFailed(event)
        }

        is ScreenEvent.AcceleratorAsked -> {
            reloadedWith(settings.copy(accelerator = event.accelerator))
        }

        is ScreenEvent.ThreadsAsked -> {
            reloadedWith(settings.copy(threads = event.threads))
        }

        is ScreenEvent.ResultsAsked -> {
            shownWith(settings.copy(results = event.count))
        }

        is ScreenEvent.ThresholdAsked -> {
            shownWith(settings.copy(threshold = event.threshold))
        }

        is ScreenEvent.Classified -> {
            withResults(event)
        }
    }

private fun ScreenState.withoutStuckCamera(): ScreenState =
    if (camera in ScreenState.STUCK) copy(camera = CameraState.CLOSED) else this

private fun ScreenState.withCamera(event: ScreenEvent.CameraChanged): ScreenState {
    val streaming = event.camera == CameraState.STREAMING
    return copy(
        camera = event.camera,
        frameUnreadable = frameUnreadable && streaming,
        torchAvailable = streaming && event.torchAvailable,
        torch = torch && streaming && event.torchAvailable,
    )
}

private fun ScreenState.switched(): ScreenState {
    val other = if (settings.facing == Facing.BACK) Facing.FRONT else Facing.BACK
    return copy(
        settings = settings.copy(facing = other),
        camera = CameraState.CLOSED,
        frameUnreadable = false,
        torch = false,
        torchAvailable = false,
        results = emptyList(),
    )
}

private fun ScreenState.withUnreadablePicture(name: String): ScreenState {
    val source = source as? Source.Picture ?: return this
    if (source.name != name) return this
    return copy(source = source.copy(failed = true), results = emptyList())
}

private fun ScreenState.loading(name: String): ScreenState =
    copy(
        model = ModelState.Loading(name, request + 1),
        request = request + 1,
        results = emptyList(),
    )

private fun ScreenState.withLoaded(event: ScreenEvent.ModelLoaded): ScreenState {
    val loading = model as? ModelState.Loading ?: return this
    if (loading.request != event.request) return this
    return copy(model = ModelState.Ready(loading.name, event.description, event.used))
}

private fun ScreenState.withFailed(event: ScreenEvent.ModelFailed): ScreenState {
    val name = modelName
    if (name == null || event.request != request) return this
    return copy(
        model = ModelState.Failed(name, event.reason, event.refusedBy),
        results = emptyList(),
    )
}

private val ScreenState.modelName: String?
    get() =
        when (val model = model) {
            ModelState.None -> null
            is ModelState.Loading -> model.name
            is ModelState.Ready -> model.name
            is ModelState.Failed -> model.name
        }

/** What decides how a model is loaded has changed: it is loaded anew. */
private fun ScreenState.reloadedWith(changed: Settings): ScreenState {
    val settings = changed.inRange()
    val name = modelName
    if (settings == this.settings || name == null) return copy(settings = settings)
    return copy(settings = settings).loading(name)
}

private fun ScreenState.shownWith(changed: Settings): ScreenState {
    val settings = changed.inRange()
    return copy(settings = settings, results = results.fitting(settings))
}

private fun ScreenState.withResults(event: ScreenEvent.Classified): ScreenState {
    val late = event.request != request || event.source != source || model !is ModelState.Ready
    val stopped = source == Source.Camera && paused
    if (late || stopped) return this
    return copy(results = event.results.fitting(settings), frameUnreadable = false)
}

private fun List<Result>.fitting(settings: Settings): List<Result> =
    filter { it.score >= settings.threshold }.take(settings.results)
