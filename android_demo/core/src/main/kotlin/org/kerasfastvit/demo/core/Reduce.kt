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

        ScreenEvent.PictureUnreadable -> {
            withUnreadablePicture()
        }

        ScreenEvent.CameraWanted -> {
            copy(source = Source.Camera, results = emptyList(), paused = false)
        }

        is ScreenEvent.ModelAsked -> {
            copy(model = ModelState.Loading(event.name), results = emptyList())
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
        torchAvailable = streaming && event.torchAvailable,
        torch = torch && streaming && event.torchAvailable,
    )
}

private fun ScreenState.switched(): ScreenState {
    val other = if (settings.facing == Facing.BACK) Facing.FRONT else Facing.BACK
    return copy(
        settings = settings.copy(facing = other),
        camera = CameraState.CLOSED,
        torch = false,
        torchAvailable = false,
        results = emptyList(),
    )
}

private fun ScreenState.withUnreadablePicture(): ScreenState {
    val source = source as? Source.Picture ?: return this
    return copy(source = source.copy(failed = true), results = emptyList())
}

/** An answer about a model that is no longer wanted comes too late. */
private fun ScreenState.withLoaded(event: ScreenEvent.ModelLoaded): ScreenState =
    if ((model as? ModelState.Loading)?.name == event.name) {
        copy(model = ModelState.Ready(event.name, event.description, event.used))
    } else {
        this
    }

private fun ScreenState.withFailed(event: ScreenEvent.ModelFailed): ScreenState =
    if (modelName == event.name) {
        copy(
            model = ModelState.Failed(event.name, settings.accelerator, event.reason),
            results = emptyList(),
        )
    } else {
        this
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
    return copy(settings = settings, model = ModelState.Loading(name), results = emptyList())
}

private fun ScreenState.shownWith(changed: Settings): ScreenState {
    val settings = changed.inRange()
    return copy(settings = settings, results = results.fitting(settings))
}

private fun ScreenState.withResults(event: ScreenEvent.Classified): ScreenState {
    val late = event.source != source || model !is ModelState.Ready
    val stopped = source == Source.Camera && paused
    return if (late || stopped) this else copy(results = event.results.fitting(settings))
}

private fun List<Result>.fitting(settings: Settings): List<Result> =
    filter { it.score >= settings.threshold }.take(settings.results)
