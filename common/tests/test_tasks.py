import asyncio

from ticketing_common.background import cancel_and_wait


async def test_task_ends_even_if_an_answer_arrives_with_its_cancellation():
    answers = []

    async def ask_again_and_again():
        while True:
            answers.append(asyncio.get_running_loop().create_future())
            await asyncio.wait_for(answers[-1], 60)

    asking = asyncio.create_task(ask_again_and_again())
    await asyncio.sleep(0)
    answers[0].set_result(None)
    async with asyncio.timeout(5):
        await cancel_and_wait(asking)
    assert asking.cancelled()


async def test_task_that_has_ended_keeps_its_result():
    async def fail():
        raise RuntimeError

    ended = asyncio.create_task(fail())
    await asyncio.wait({ended})
    await cancel_and_wait(ended)
    assert isinstance(ended.exception(), RuntimeError)
